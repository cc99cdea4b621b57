package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
)

const csvType = "text/csv"

type pointsExport struct {
	ID        string `path:"id"`
	Separator string `query:"separator" maxLength:"1" doc:"A comma, or a semicolon as spreadsheets of many countries want it"`
	Decimal   string `query:"decimal" doc:"A point, or a comma"`
	BOM       bool   `query:"bom" doc:"Begin with a byte order mark, for spreadsheets"`
}

type pointsFile struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

type importInput struct {
	ID      string `path:"id"`
	DryRun  bool   `query:"dry_run" doc:"Only tell what would happen"`
	Mode    string `query:"mode" enum:"merge,replace" default:"merge" doc:"merge keeps points that the file does not have"`
	IfMatch string `header:"If-Match" doc:"The device's ETag, or *; not for a dry run"`
	RawBody []byte `contentType:"text/csv"`
}

// importResult tells what an import does.
type importResult struct {
	OK        bool       `json:"ok"`
	DryRun    bool       `json:"dry_run"`
	Rows      int        `json:"rows"`
	Added     []string   `json:"added" nullable:"false"`
	Changed   []string   `json:"changed" nullable:"false"`
	Unchanged []string   `json:"unchanged" nullable:"false"`
	Removed   []string   `json:"removed" nullable:"false"`
	Errors    []rowFault `json:"errors" nullable:"false" doc:"Row 1 is the header, 0 the whole"`
}

type importOutput struct {
	ETag string `header:"ETag"`
	Body importResult
}

func (a *API) addPoints() {
	const tag, one = "devices", "/devices/{id}/points"
	add(a, operation{method: http.MethodGet, path: one + "/export", id: "export-points", summary: "The points as CSV", tag: tag, role: Viewer, errors: []int{http.StatusNotFound}}, a.exportPoints)
	add(a, operation{
		method: http.MethodPost, path: one + "/import", id: "import-points", summary: "Points from CSV", tag: tag, role: Operator,
		errors: []int{http.StatusNotFound, http.StatusPreconditionFailed, http.StatusPreconditionRequired, http.StatusUnprocessableEntity},
		body:   map[string]*huma.Schema{csvType: {Type: huma.TypeString}},
	}, a.importPoints)
}

// pointsOf gives the points in a device's settings.
func pointsOf(d object) ([]object, error) {
	var texts []json.RawMessage
	if raw := d.Get("points"); raw != nil {
		if err := json.Unmarshal(raw, &texts); err != nil {
			return nil, fault.New(fault.Invalid, "the device's points are no list")
		}
	}
	points := make([]object, 0, len(texts))
	for _, text := range texts {
		p, err := parseObject(text)
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, nil
}

func (a *API) exportPoints(_ context.Context, in *pointsExport) (*pointsFile, error) {
	d, err := a.device(in.ID)
	if err != nil {
		return nil, err
	}
	points, err := pointsOf(d.settings)
	if err != nil {
		return nil, err
	}
	form := tableForm{separator: ',', decimal: ".", bom: in.BOM}
	if in.Separator == ";" {
		form.separator = ';'
		if in.Decimal == "," {
			form.decimal = ","
		}
	}
	return &pointsFile{
		ContentType: csvType + "; charset=utf-8", Disposition: fmt.Sprintf(`attachment; filename="%s-points.csv"`, in.ID), Body: writePoints(points, form),
	}, nil
}

func (a *API) importPoints(ctx context.Context, in *importInput) (*importOutput, error) {
	rows, faults := readPoints(in.RawBody)
	a.changes.Lock()
	defer a.changes.Unlock()
	d, err := a.device(in.ID)
	if err != nil {
		return nil, err
	}
	tag := etag(d.object().JSON())
	if !in.DryRun {
		if err := checkMatch(in.IfMatch, tag); err != nil {
			return nil, err
		}
	}
	old, err := pointsOf(d.settings)
	if err != nil {
		return nil, err
	}
	result, points, number := merged(old, rows, in.Mode == "replace")
	result.DryRun = in.DryRun
	result.Errors = append(result.Errors, faults...)
	if len(result.Errors) == 0 {
		result.Errors = append(result.Errors, a.checkPoints(d, points, number)...)
	}
	result.OK = len(result.Errors) == 0
	if in.DryRun {
		return &importOutput{ETag: tag, Body: result}, nil
	}
	if !result.OK {
		return nil, rowProblem(result.Errors)
	}
	stored, err := a.changeDevices(ctx, d.bridge, func(all []object) ([]object, int, error) {
		i := indexOf(all, in.ID)
		if i < 0 {
			return nil, i, missingDevice()
		}
		all[i].Set("points", array(points))
		return all, i, nil
	})
	if err != nil {
		return nil, err
	}
	if d, err = deviceIn(stored, d.bridge, in.ID); err != nil {
		return nil, err
	}
	return &importOutput{ETag: etag(d.object().JSON()), Body: result}, nil
}

// merged lays the rows over the points. number gives the row of each point, 0 for one that was there.
func merged(old []object, rows []row, replace bool) (r importResult, points []object, number []int) {
	r = importResult{Rows: len(rows), Added: []string{}, Changed: []string{}, Unchanged: []string{}, Removed: []string{}, Errors: []rowFault{}}
	seen := map[string]int{}
	if !replace {
		points, number = slices.Clone(old), make([]int, len(old))
	}
	for _, x := range rows {
		id := x.point.Text("id")
		if first, twice := seen[id]; twice && id != "" {
			r.Errors = append(r.Errors, rowFault{Row: x.number, Column: "id", Code: fault.Conflict, Detail: fmt.Sprintf("stands in row %d too", first)})
			continue
		}
		seen[id] = x.number
		was := indexOf(old, id)
		switch {
		case was < 0:
			r.Added = append(r.Added, id)
		case etag(old[was].JSON()) == etag(x.point.JSON()):
			r.Unchanged = append(r.Unchanged, id)
		default:
			r.Changed = append(r.Changed, id)
		}
		if at := indexOf(points, id); at >= 0 {
			points[at], number[at] = x.point, x.number
		} else {
			points, number = append(points, x.point), append(number, x.number)
		}
	}
	for _, p := range old {
		if id := p.Text("id"); replace && seen[id] == 0 {
			r.Removed = append(r.Removed, id)
		}
	}
	return r, points, number
}

// checkPoints judges a device with these points on its bridge, alone, and says which rows are wrong.
func (a *API) checkPoints(d device, points []object, number []int) []rowFault {
	b, err := parseObject(a.find(a.bridges, d.bridge))
	if err != nil {
		return []rowFault{{Code: fault.Invalid, Detail: "its bridge can't be read"}}
	}
	changed := slices.Clone(d.settings)
	changed.Set("points", array(points))
	b.Set("devices", array([]object{changed}))
	c, err := bridges.NewConfig(b.JSON(), a.bridges.kind)
	if err == nil {
		err = a.Bridges.Check(c)
	}
	if err == nil {
		return nil
	}
	list, isList := errors.AsType[fault.List](err)
	if !isList {
		return []rowFault{{Code: fault.Invalid, Detail: ProblemOf(err).Detail}}
	}
	faults := []rowFault{}
	for _, f := range list {
		x := rowFault{Code: f.Code, Detail: f.Message}
		if rest, ok := strings.CutPrefix(f.Field, "/devices/0/points/"); ok {
			index, field, _ := strings.Cut(rest, "/")
			if i, err := strconv.Atoi(index); err == nil && i < len(number) {
				x.Row, x.Column = number[i], strings.ReplaceAll(field, "/", ".")
				if x.Row == 0 {
					x.Detail = "point " + points[i].Text("id") + ", which is there already: " + x.Detail
				}
			}
		} else if f.Field != "" {
			x.Detail = f.Field + ": " + f.Message
		}
		faults = append(faults, x)
	}
	return faults
}

// rowProblem refuses a file.
func rowProblem(faults []rowFault) *Problem {
	first := faults[0]
	p := NewProblem(http.StatusUnprocessableEntity, first.Code, "row %d, column %s: %s", first.Row, first.Column, first.Detail)
	for _, f := range faults {
		p.Errors = append(p.Errors, ProblemError{Pointer: fmt.Sprintf("/rows/%d/%s", f.Row, f.Column), Code: f.Code, Detail: f.Detail})
	}
	return p
}
