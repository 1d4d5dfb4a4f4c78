package dpo

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
)

// SetArgs is for hosts: the key=value words of the script that is about to run.
// Everything asked of earlier words is forgotten.
func SetArgs(words []string) {
	session.mu.Lock()
	defer session.mu.Unlock()
	session.args, session.argsSet, session.hosted = append([]string(nil), words...), true, true
	session.settings, session.asked, session.warned = nil, map[string]bool{}, false
}

// Args are the key=value words: those of dpolab run FILE.go key=value, or of the
// program itself.
func Args() []string {
	session.mu.Lock()
	defer session.mu.Unlock()
	return append([]string(nil), words()...)
}

func words() []string {
	if session.argsSet {
		return session.args
	}
	var out []string
	for _, w := range os.Args[1:] {
		if !strings.HasPrefix(w, "-test.") { // a test binary's own
			out = append(out, w)
		}
	}
	return out
}

// setting returns what was given for key and notes that it was asked for.
func setting(op, key string) (string, bool) {
	session.mu.Lock()
	defer session.mu.Unlock()
	if session.settings == nil {
		all := map[string]string{}
		for _, w := range words() {
			k, v, ok := strings.Cut(w, "=")
			if !ok || k == "" {
				panic(&Error{Op: op, err: fmt.Errorf("argument: want key=value, got %q", w)})
			}
			all[k] = v
		}
		session.settings = all
	}
	session.asked[key] = true
	v, ok := session.settings[key]
	return v, ok
}

// FloatSetting is the number given as key=value, def if there is none:
//
//	beta := dpo.FloatSetting("loss.beta", 0.1)
func FloatSetting(key string, def float64) float64 {
	text, ok := setting("FloatSetting", key)
	if !ok {
		return def
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		refuse("FloatSetting", "a number for "+key, "%q", text)
	}
	return v
}

// IntSetting is FloatSetting for whole numbers.
func IntSetting(key string, def int) int {
	text, ok := setting("IntSetting", key)
	if !ok {
		return def
	}
	v, err := strconv.Atoi(text)
	if err != nil {
		refuse("IntSetting", "a whole number for "+key, "%q", text)
	}
	return v
}

// BoolSetting is FloatSetting for true and false.
func BoolSetting(key string, def bool) bool {
	text, ok := setting("BoolSetting", key)
	if !ok {
		return def
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		refuse("BoolSetting", "true or false for "+key, "%q", text)
	}
	return v
}

// StringSetting is FloatSetting for text.
func StringSetting(key, def string) string {
	if text, ok := setting("StringSetting", key); ok {
		return text
	}
	return def
}

// UnknownSettings lists the keys that were given and that no call has asked for
// yet, sorted.
func UnknownSettings() []string {
	setting("UnknownSettings", "")
	session.mu.Lock()
	defer session.mu.Unlock()
	var out []string
	for k := range session.settings {
		if !session.asked[k] {
			out = append(out, k)
		}
	}
	sort.Strings(out)
	return out
}

// CheckSettings raises if a key was given that no call has asked for. Call it
// when all settings are read, before the work begins.
func CheckSettings() {
	unknown := UnknownSettings()
	if len(unknown) == 0 {
		return
	}
	session.mu.Lock()
	var known []string
	for k := range session.asked {
		if k != "" {
			known = append(known, k)
		}
	}
	session.mu.Unlock()
	sort.Strings(known)
	if len(known) == 0 {
		known = []string{"no key=value words"}
	}
	refuse("CheckSettings", "one of "+strings.Join(known, ", "), "%s", strings.Join(unknown, ", "))
}

// warnUnknown says once, when a run begins, that words have found no reader so
// far: at the end it may be too late.
func warnUnknown() {
	session.mu.Lock()
	warned := session.warned
	session.warned = true
	session.mu.Unlock()
	if warned {
		return
	}
	if unknown := UnknownSettings(); len(unknown) > 0 {
		say("dpo: no call has asked for %s so far", strings.Join(unknown, ", "))
	}
}
