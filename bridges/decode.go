package bridges

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"fieldgate/internal/fault"
)

// Limits of what Decode reads.
const (
	MaxSettingsSize  = 4 << 20 // bytes
	maxSettingsDepth = 32
	maxSettingsNodes = 500_000
	maxFaults        = 100
)

// Defaulter is a settings type that fills in its own defaults. Decode calls it on
// every value that it makes itself: elements of slices and maps, and what a
// pointer points to. What the caller passes in is the caller's to fill.
type Defaulter interface{ SetDefaults() }

// Decode reads a settings object into the struct that into points to, by its
// json tags, and returns every fault at once as a fault.List whose fields are JSON
// pointers into data; what was readable is in place all the same.
//
// Keys are case-sensitive; unknown and duplicate ones are faults. A key whose
// value is null counts as left out, so what into held before stays: fill in the
// defaults first. Integers are exact. A time.Duration is text such as "500ms". A
// json.RawMessage and an any take what comes. json.Unmarshaler and
// encoding.TextUnmarshaler are used where a type has them; the fields of a
// fault.List that they return are taken as relative to their value.
func Decode(data json.RawMessage, into any) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		panic(fmt.Sprintf("bridges.Decode: %T is no pointer to settings", into))
	}
	root, err := parseTree(data)
	if err != nil {
		return fault.List{err}
	}
	d := decoder{fields: map[reflect.Type]fieldSet{}, texts: texts{}}
	if root.kind == nullNode {
		d.wrongType("", "an object", root)
	} else {
		d.value("", root, target.Elem())
	}
	return d.faults.Err()
}

type decoder struct {
	faults fault.List
	fields map[reflect.Type]fieldSet // of the structs met so far
	texts  texts
}

func (d *decoder) add(at string, code fault.Code, format string, args ...any) {
	switch {
	case len(d.faults) < maxFaults:
		d.faults.Add(at, code, format, args...)
	case len(d.faults) == maxFaults:
		d.faults.Add("", fault.TooMany, "more faults follow; only the first %d are shown", maxFaults)
	}
}

func (d *decoder) wrongType(at, want string, n node) {
	d.add(at, fault.Invalid, "must be %s, not %s", want, n.kind.words())
}

// value reads a node that is not null into v.
func (d *decoder) value(at string, n node, v reflect.Value) {
	if d.special(at, n, v) {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		if n.kind != boolNode {
			d.wrongType(at, "true or false", n)
			return
		}
		v.SetBool(n.raw[0] == 't')
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		d.signed(at, n, v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.unsigned(at, n, v)
	case reflect.Float32, reflect.Float64:
		d.float(at, n, v)
	case reflect.String:
		if n.kind != textNode {
			d.wrongType(at, textWords(n), n)
			return
		}
		v.SetString(d.texts.unquote(n.raw))
	case reflect.Pointer:
		d.pointer(at, n, v)
	case reflect.Struct:
		d.object(at, n, v)
	case reflect.Slice:
		d.slice(at, n, v)
	case reflect.Map:
		d.mapping(at, n, v)
	default:
		panic("bridges.Decode: settings must not have a " + v.Type().String())
	}
}

// textWords helps those who forgot that a bare word of digits is a number in YAML.
func textWords(n node) string {
	if n.kind == numberNode || n.kind == boolNode {
		return "text (put it in quotes)"
	}
	return "text"
}

// special reads the types that have a form of their own in JSON.
func (d *decoder) special(at string, n node, v reflect.Value) bool {
	switch target := v.Addr().Interface().(type) {
	case *json.RawMessage:
		*target = append(json.RawMessage(nil), n.raw...)
	case *time.Duration:
		d.duration(at, n, target)
	case *any:
		*target = plain(n)
	case json.Unmarshaler:
		d.foreign(at, target.UnmarshalJSON(n.raw))
	case encoding.TextUnmarshaler:
		if n.kind != textNode {
			d.wrongType(at, textWords(n), n)
			return true
		}
		d.foreign(at, target.UnmarshalText([]byte(unquote(n.raw))))
	default:
		return false
	}
	return true
}

// foreign adds what a type's own reader found.
func (d *decoder) foreign(at string, err error) {
	if err == nil {
		return
	}
	faults := fault.All(err)
	if len(faults) == 1 && faults[0].Err == err { //nolint:errorlint // asks whether All had to wrap err itself
		d.add(at, fault.Invalid, "%s", err)
		return
	}
	for _, f := range faults {
		d.add(at+f.Field, f.Code, "%s", f.Message)
	}
}

func (d *decoder) duration(at string, n node, target *time.Duration) {
	const want = `a time with its unit, such as "500ms", "10s", "1m" or "24h"`
	if n.kind != textNode {
		d.wrongType(at, want, n)
		return
	}
	dur, err := time.ParseDuration(unquote(n.raw))
	if err != nil {
		d.add(at, fault.Invalid, "must be %s", want)
		return
	}
	*target = dur
}

func (d *decoder) pointer(at string, n node, v reflect.Value) {
	if v.IsNil() {
		v.Set(made(v.Type().Elem()).Addr())
	}
	d.value(at, n, v.Elem())
}

func (d *decoder) slice(at string, n node, v reflect.Value) {
	if n.kind != arrayNode {
		d.wrongType(at, "a list", n)
		return
	}
	list := reflect.MakeSlice(v.Type(), 0, len(n.items))
	for i, item := range n.items {
		e := made(v.Type().Elem())
		d.element(at+"/"+strconv.Itoa(i), item, e)
		list = reflect.Append(list, e)
	}
	v.Set(list)
}

func (d *decoder) mapping(at string, n node, v reflect.Value) {
	if n.kind != objectNode {
		d.wrongType(at, "an object", n)
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.members))
	seen := map[string]bool{}
	for _, mem := range n.members {
		below := at + "/" + escapePointer(mem.key)
		if d.twice(seen, mem.key, below) {
			continue
		}
		key := reflect.New(v.Type().Key()).Elem()
		if !d.mapKey(below, mem.key, key) {
			continue
		}
		e := made(v.Type().Elem())
		d.element(below, mem.value, e)
		m.SetMapIndex(key, e)
	}
	v.Set(m)
}

// mapKey reads a key: text, or the number that it spells ({"0":"off"}).
func (d *decoder) mapKey(at, text string, key reflect.Value) bool {
	before := len(d.faults)
	switch key.Kind() {
	case reflect.String:
		key.SetString(text)
	default:
		n, err := parseTree(json.RawMessage(text))
		if err != nil || n.kind != numberNode {
			d.add(at, fault.Invalid, "the key must be a number")
			return false
		}
		d.value(at, n, key)
	}
	return len(d.faults) == before
}

// element reads a list's or map's element, where null has nothing to stand for.
func (d *decoder) element(at string, n node, v reflect.Value) {
	if n.kind == nullNode && v.Kind() != reflect.Interface && v.Type() != reflect.TypeFor[json.RawMessage]() {
		d.add(at, fault.Invalid, "must not be null")
		return
	}
	d.value(at, n, v)
}

func (d *decoder) twice(seen map[string]bool, key, at string) bool {
	if seen[key] {
		d.add(at, fault.Invalid, "stands there twice")
		return true
	}
	seen[key] = true
	return false
}

func (d *decoder) object(at string, n node, v reflect.Value) {
	if n.kind != objectNode {
		d.wrongType(at, "an object", n)
		return
	}
	fields, met := d.fields[v.Type()]
	if !met {
		fields = fieldsOf(v.Type())
		d.fields[v.Type()] = fields
	}
	seen := map[string]bool{}
	for _, mem := range n.members {
		below := at + "/" + escapePointer(mem.key)
		index, known := fields.index[mem.key]
		if !known {
			d.add(below, fault.UnknownKey, "%s", unknownKeyWords(mem.key, fields.names))
			continue
		}
		if d.twice(seen, mem.key, below) || mem.value.kind == nullNode {
			continue
		}
		d.value(below, mem.value, v.FieldByIndex(index))
	}
}

// fieldSet is the keys of a settings struct.
type fieldSet struct {
	names []string
	index map[string][]int
}

// fieldsOf lists the keys of a struct; those of an embedded struct without a name
// of its own count as the struct's.
func fieldsOf(t reflect.Type) fieldSet {
	set := fieldSet{index: map[string][]int{}}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inline := f.Anonymous && name == ""
		if !f.IsExported() || name == "-" || inline {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if len(f.Index) > 1 && !promoted(t, f.Index) {
			continue
		}
		if _, taken := set.index[name]; !taken {
			set.names = append(set.names, name)
			set.index[name] = f.Index
		}
	}
	return set
}

// promoted tells whether all structs on the way to the field are embedded by value and without a name.
func promoted(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" || f.Type.Kind() != reflect.Struct {
			return false
		}
		t = f.Type
	}
	return true
}

// made is a new value with its defaults; what a pointer points to is made when it is read.
func made(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if s, ok := v.Interface().(Defaulter); ok {
		s.SetDefaults()
	}
	return v.Elem()
}

// plain gives a node as encoding/json would, with json.Number for numbers.
func plain(n node) any {
	switch n.kind {
	case boolNode:
		return n.raw[0] == 't'
	case numberNode:
		return json.Number(n.raw)
	case textNode:
		return unquote(n.raw)
	case arrayNode:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = plain(item)
		}
		return list
	case objectNode:
		m := make(map[string]any, len(n.members))
		for _, mem := range n.members {
			m[mem.key] = plain(mem.value)
		}
		return m
	}
	return nil
}

func escapePointer(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}
