package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// source is one file of the product, tests left out.
type source struct {
	path string
	fset *token.FileSet
	ast  *ast.File
}

// sources parses every file of the product, by package folder.
func sources(t *testing.T) map[string][]source {
	t.Helper()
	const root = "../.."
	packages := map[string][]source{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name := d.Name(); {
		case d.IsDir() && (name == "node_modules" || name == "testdata" || len(name) > 2 && name[0] == '.'):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		packages[filepath.Dir(rel)] = append(packages[filepath.Dir(rel)], source{rel, fset, file})
		return err
	})
	require.NoError(t, err)
	return packages
}

func (s source) at(n ast.Node) string {
	p := s.fset.Position(n.Pos())
	p.Filename = s.path
	return p.String()
}

func TestLogIsInjected(t *testing.T) {
	for _, files := range sources(t) {
		for _, s := range files {
			for _, spec := range s.ast.Imports {
				if spec.Path.Value == `"log"` {
					t.Errorf("%s: the package log has one logger for all; take a *slog.Logger", s.at(spec))
				}
			}
			ast.Inspect(s.ast, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok && isIdent(sel.X, "slog") && (sel.Sel.Name == "Default" || sel.Sel.Name == "SetDefault") {
					t.Errorf("%s: slog.%s is one logger for all; take a *slog.Logger", s.at(n), sel.Sel.Name)
				}
				return true
			})
		}
	}
}

func TestNothingHappensAtImport(t *testing.T) {
	for _, files := range sources(t) {
		for _, s := range files {
			for _, decl := range s.ast.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s: init runs behind everybody's back; construct it where it is wired", s.at(f))
				}
			}
		}
	}
}

func TestPackageVariablesNeverChange(t *testing.T) {
	for _, files := range sources(t) {
		vars := packageVars(files)
		for _, s := range files {
			for _, decl := range s.ast.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
					findWrites(t, s, f, vars)
				}
			}
		}
	}
}

func packageVars(files []source) map[string]bool {
	vars := map[string]bool{}
	for _, s := range files {
		for _, decl := range s.ast.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					vars[name.Name] = name.Name != "_"
				}
			}
		}
	}
	return vars
}

// findWrites reports what a function does to package variables. A name that the
// function declares itself anywhere counts as its own.
func findWrites(t *testing.T, s source, f *ast.FuncDecl, vars map[string]bool) {
	own := declared(f)
	check := func(target ast.Expr) {
		if name := rootName(target); vars[name] && !own[name] {
			t.Errorf("%s: %s is a package variable; state belongs to a value that somebody made", s.at(target), name)
		}
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, target := range n.Lhs {
				if n.Tok != token.DEFINE {
					check(target)
				}
			}
		case *ast.IncDecStmt:
			check(n.X)
		case *ast.CallExpr:
			if (isIdent(n.Fun, "delete") || isIdent(n.Fun, "clear")) && len(n.Args) > 0 {
				check(n.Args[0])
			}
		}
		return true
	})
}

// declared lists the names that a function declares: parameters, results, variables.
func declared(f *ast.FuncDecl) map[string]bool {
	own := map[string]bool{}
	add := func(e ast.Expr) {
		if id, ok := e.(*ast.Ident); ok {
			own[id.Name] = true
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, name := range n.Names {
				add(name)
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, e := range n.Lhs {
					add(e)
				}
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				add(n.Key)
				add(n.Value)
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				add(name)
			}
		}
		return true
	})
	return own
}

// rootName is the variable that an assignment to e changes.
func rootName(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x.Name
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return ""
		}
	}
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}
