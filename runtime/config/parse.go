package config

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// Parse reads "key=value" words over the defaults. Group words choose presets
// first, in whatever position they stand. The result is not validated.
func Parse(words []string) (Experiment, error) {
	e := Default()
	err := e.Apply(words)
	return e, err
}

// Apply sets the keys that the words name.
func (e *Experiment) Apply(words []string) error {
	type pair struct{ key, value string }
	var pairs []pair
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok {
			return fmt.Errorf("config: %q: want key=value", w)
		}
		var err error
		switch k {
		case "model":
			e.Model, err = choose(k, v, modelPresets)
		case "loss":
			e.Loss, err = choose(k, v, lossPresets)
		default:
			pairs = append(pairs, pair{k, v})
		}
		if err != nil {
			return err
		}
	}
	for _, p := range pairs {
		if err := e.Set(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

// Load reads a configuration file as a run directory's config.yaml holds it.
func Load(path string) (Experiment, error) {
	e := Default()
	text, err := os.ReadFile(path)
	if err != nil {
		return e, fmt.Errorf("config: %w", err)
	}
	var tree yaml.MapSlice
	if err := yaml.UnmarshalWithOptions(text, &tree, yaml.UseOrderedMap()); err != nil {
		return e, fmt.Errorf("config: %s: not YAML: %w", path, err)
	}
	if err := e.apply(tree, ""); err != nil {
		return e, fmt.Errorf("%w (in %s)", err, path)
	}
	return e, nil
}

func (e *Experiment) apply(tree yaml.MapSlice, prefix string) error {
	for _, item := range tree {
		name := prefix + fmt.Sprint(item.Key)
		var value string
		switch v := item.Value.(type) {
		case yaml.MapSlice:
			if err := e.apply(v, name+"."); err != nil {
				return err
			}
			continue
		case nil:
			value = "null"
		case []any:
			parts := make([]string, len(v))
			for i := range v {
				parts[i] = strconv.Quote(fmt.Sprint(v[i]))
			}
			value = "[" + strings.Join(parts, ", ") + "]"
		default:
			value = fmt.Sprint(v)
		}
		if err := e.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// YAML writes every key with its value, in the order of the struct, so that
// [Load] gives the same Experiment.
func (e *Experiment) YAML() []byte {
	var b strings.Builder
	group := ""
	v := reflect.ValueOf(e).Elem()
	for _, k := range keys {
		name := k.name
		indent := ""
		if g, last, dotted := strings.Cut(k.name, "."); dotted {
			if g != group {
				fmt.Fprintf(&b, "%s:\n", g)
			}
			group, name, indent = g, last, "  "
		} else {
			group = ""
		}
		fmt.Fprintf(&b, "%s%s: %s\n", indent, name, format(v.FieldByIndex(k.index)))
	}
	return []byte(b.String())
}

// format writes a field as YAML.
func format(f reflect.Value) string {
	switch f.Kind() {
	case reflect.Pointer:
		if f.IsNil() {
			return "null"
		}
		return format(f.Elem())
	case reflect.String:
		if f.Len() == 0 {
			return "null"
		}
		return strconv.Quote(f.String())
	case reflect.Slice:
		parts := make([]string, f.Len())
		for i := range parts {
			parts[i] = strconv.Quote(f.Index(i).String())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Float64:
		return strconv.FormatFloat(f.Float(), 'g', -1, 64)
	}
	return fmt.Sprint(f.Interface())
}

// Help lists every key with its default and meaning, for people.
func Help() string {
	d := Default()
	v := reflect.ValueOf(&d).Elem()
	var b strings.Builder
	for _, k := range keys {
		value := format(v.FieldByIndex(k.index))
		if s, err := strconv.Unquote(value); err == nil {
			value = s
		}
		fmt.Fprintf(&b, "  %-30s %s\n", k.name+"="+strings.ReplaceAll(value, `"`, ""), k.help)
	}
	return b.String()
}
