package line

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"fieldgate/bridges"
)

// jsonParser takes values out of a JSON object or list.
type jsonParser struct {
	fieldList
	paths [][]string
}

// bind takes a path such as wind.speed, sensors[0].t, or a JSON pointer such as /a/b for names with points in them.
func (j *jsonParser) bind(field string, _ *Point) (int, error) {
	path, err := splitPath(field)
	if err != nil {
		return 0, err
	}
	i := j.number(field)
	if i == len(j.paths) {
		j.paths = append(j.paths, path)
	}
	return i, nil
}

func splitPath(field string) ([]string, error) {
	if pointer, ok := strings.CutPrefix(field, "/"); ok {
		path := strings.Split(pointer, "/")
		for i := range path {
			path[i] = strings.ReplaceAll(strings.ReplaceAll(path[i], "~1", "/"), "~0", "~")
		}
		return path, nil
	}
	path := strings.Split(strings.ReplaceAll(field, "[", ".["), ".")
	for i, step := range path {
		if inner, ok := strings.CutPrefix(step, "["); ok {
			digits, closed := strings.CutSuffix(inner, "]")
			if !closed || !isDigits(digits) {
				return nil, fmt.Errorf("has %s, which is no place in a list; write [0] for its first element", step)
			}
			path[i] = digits
		}
	}
	if path[0] == "" {
		path = path[1:]
	}
	return path, nil
}

func (j *jsonParser) parse(body []byte, cells []cell) bool {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || body[0] != '{' && body[0] != '[' {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) != nil || d.InputOffset() != int64(len(body)) {
		return false
	}
	for i, path := range j.paths {
		cells[i] = jsonCell(tree, path)
	}
	return true
}

// jsonCell follows the path; one that leads nowhere says nothing.
func jsonCell(tree any, path []string) cell {
	for _, step := range path {
		switch t := tree.(type) {
		case map[string]any:
			next, ok := t[step]
			if !ok {
				return cell{}
			}
			tree = next
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n < 0 || n >= len(t) {
				return cell{}
			}
			tree = t[n]
		default:
			return cell{}
		}
	}
	switch t := tree.(type) {
	case json.Number:
		return cell{here: true, value: jsonNumber(t), text: t.String()}
	case string:
		return cell{here: true, text: t}
	case bool:
		return cell{here: true, value: bridges.Bool(t), text: strconv.FormatBool(t)}
	case nil:
		return cell{here: true, code: codeEmpty}
	}
	return cell{here: true, code: bridges.ErrParse}
}

func jsonNumber(n json.Number) bridges.Value {
	v, err := bridges.ParseValue([]byte(n))
	if err != nil {
		return bridges.Value{}
	}
	return v
}
