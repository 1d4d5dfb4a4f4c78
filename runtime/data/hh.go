package data

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

func init() { Register("hh", loadHH) }

// hhRow is a row of Anthropic HH: two whole dialogues.
type hhRow struct {
	Chosen   *string `json:"chosen"`
	Rejected *string `json:"rejected"`
}

const (
	humanTurn     = "\n\nHuman:"
	assistantTurn = "\n\nAssistant:"
)

// loadHH splits dialogues as the reference does: the prompt is everything up
// to and including the last "\n\nAssistant:" of the chosen text, and the
// rejected response is the rejected text from that many characters on, even
// where the two dialogues have diverged before (counted as PromptMismatch).
func loadHH(path string, split Split) (*Dataset, error) {
	set := &Dataset{Name: "hh", Truncation: KeepEnd}
	err := eachRow(path, split, func(row hhRow, place string) error {
		if row.Chosen == nil || row.Rejected == nil {
			return fmt.Errorf("want the fields chosen and rejected")
		}
		set.Report.Rows++
		at := strings.LastIndex(*row.Chosen, assistantTurn)
		if at < 0 {
			return fmt.Errorf("chosen has no %q turn", assistantTurn)
		}
		prompt := (*row.Chosen)[:at+len(assistantTurn)]
		rejected, same := strings.CutPrefix(*row.Rejected, prompt)
		if !same {
			set.Report.PromptMismatch++
			rejected = skipCharacters(*row.Rejected, utf8.RuneCountInString(prompt))
		}
		set.AddPair(prompt, (*row.Chosen)[len(prompt):], rejected, place)
		return nil
	})
	return set, err
}

// skipCharacters drops the first n characters.
func skipCharacters(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[i:]
		}
		n--
	}
	return ""
}
