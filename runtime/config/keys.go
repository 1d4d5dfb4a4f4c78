package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml"
)

// key is one settable field of an Experiment.
type key struct {
	name    string
	index   []int
	help    string
	choices []string
}

// keys lists every key in the order of the struct.
var keys = collect(reflect.TypeFor[Experiment](), "", nil)

func collect(t reflect.Type, prefix string, index []int) []key {
	var out []key
	for i := range t.NumField() {
		f := t.Field(i)
		name := prefix + f.Tag.Get("key")
		at := append(append([]int(nil), index...), i)
		if f.Type.Kind() == reflect.Struct {
			out = append(out, collect(f.Type, name+".", at)...)
			continue
		}
		k := key{name: name, index: at, help: f.Tag.Get("help")}
		if c := f.Tag.Get("choices"); c != "" {
			k.choices = strings.Split(c, ",")
		}
		out = append(out, k)
	}
	return out
}

// Keys lists the names of all keys, for completion.
func Keys() []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.name
	}
	return out
}

// Set gives one key a value written as YAML.
func (e *Experiment) Set(name, value string) error {
	if m, ok := meaningless[name]; ok {
		if value == m.harmless {
			return nil
		}
		return fmt.Errorf("config: %s=%s has no meaning here: %s", name, value, m.why)
	}
	if why, ok := absent[name+"="+value]; ok {
		return fmt.Errorf("config: %s=%s does not exist here: %s", name, value, why)
	}
	for _, k := range keys {
		if k.name == name {
			if err := assign(reflect.ValueOf(e).Elem().FieldByIndex(k.index), value, k.choices); err != nil {
				return fmt.Errorf("config: %s=%s: %w", name, value, err)
			}
			return nil
		}
	}
	if near := nearest(name); near != "" {
		return fmt.Errorf("config: unknown key %q, did you mean %q?", name, near)
	}
	return fmt.Errorf("config: unknown key %q; dpolab train -h lists the keys", name)
}

// assign parses value as YAML into a field.
func assign(f reflect.Value, value string, choices []string) error {
	isNull := value == "null" || value == "~" || value == ""
	switch f.Kind() {
	case reflect.Pointer:
		if isNull {
			f.SetZero()
			return nil
		}
		p := reflect.New(f.Type().Elem())
		if err := assign(p.Elem(), value, choices); err != nil {
			return err
		}
		f.Set(p)
	case reflect.Bool:
		switch value {
		case "true", "True":
			f.SetBool(true)
		case "false", "False":
			f.SetBool(false)
		default:
			return fmt.Errorf("want true or false")
		}
	case reflect.Int:
		n, err := strconv.Atoi(strings.ReplaceAll(value, "_", ""))
		if err != nil {
			return fmt.Errorf("want a whole number")
		}
		f.SetInt(int64(n))
	case reflect.Float64:
		x, err := strconv.ParseFloat(strings.ReplaceAll(value, "_", ""), 64)
		if err != nil {
			return fmt.Errorf("want a number")
		}
		f.SetFloat(x)
	case reflect.String:
		if isNull {
			f.SetString("")
			return nil
		}
		for _, c := range choices {
			if c == value {
				f.SetString(value)
				return nil
			}
		}
		if choices != nil {
			return fmt.Errorf("want one of %s", strings.Join(choices, ", "))
		}
		f.SetString(value)
	case reflect.Slice:
		var list []string
		if !strings.HasPrefix(value, "[") {
			list = []string{value}
		} else if err := yaml.Unmarshal([]byte(value), &list); err != nil {
			return fmt.Errorf("want a list such as [hh] or [hh,shp]")
		}
		f.Set(reflect.ValueOf(list))
	}
	return nil
}

// nearest returns the known key that is spelled most like name, or "" if none
// is close. The last part counts alone too: users of the reference write
// model.block for model.block_name, or beta for loss.beta.
func nearest(name string) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, known := range append([]string{"model", "loss"}, Keys()...) { // the presets' words first
		d := levenshtein.ComputeDistance(name, known)
		if _, last, dotted := strings.Cut(known, "."); dotted && !strings.Contains(name, ".") {
			d = min(d, levenshtein.ComputeDistance(name, last)+1)
		}
		if strings.HasPrefix(known, name) {
			d = min(d, 2)
		}
		if d < bestDistance {
			best, bestDistance = known, d
		}
	}
	return best
}
