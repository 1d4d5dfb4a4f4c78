package data

import (
	"encoding/json"
	"fmt"
	"strings"
)

func init() { Register("pairs", loadPairs) }

// pairRow is a row of a generic preference file. Each field is a string, or a
// conversation: a list of {"role", "content"} messages.
type pairRow struct {
	Prompt   json.RawMessage `json:"prompt"`
	Chosen   json.RawMessage `json:"chosen"`
	Rejected json.RawMessage `json:"rejected"`
}

// message is one turn of a conversation.
type message struct{ Role, Content string }

// loadPairs reads prompt, chosen and rejected. Conversations are written as
// Anthropic HH writes them ("\n\nHuman: …\n\nAssistant: …"), and end the prompt
// with "\n\nAssistant:". Without a prompt, chosen and rejected must be
// conversations; the turns they share are the prompt.
func loadPairs(path string, split Split) (*Dataset, error) {
	set := &Dataset{Name: "pairs", Truncation: KeepStart}
	err := eachRow(path, split, func(row pairRow, place string) error {
		set.Report.Rows++
		if row.Chosen == nil || row.Rejected == nil {
			return fmt.Errorf("want the fields prompt, chosen and rejected")
		}
		chosen, chosenTurns, err := textOrTurns("chosen", row.Chosen)
		if err != nil {
			return err
		}
		rejected, rejectedTurns, err := textOrTurns("rejected", row.Rejected)
		if err != nil {
			return err
		}
		if (chosenTurns == nil) != (rejectedTurns == nil) {
			return fmt.Errorf("chosen and rejected must both be text or both be conversations")
		}
		if row.Prompt == nil {
			if chosenTurns == nil {
				return fmt.Errorf("want the field prompt, or conversations in chosen and rejected")
			}
			n := 0
			for n < len(chosenTurns)-1 && n < len(rejectedTurns)-1 && chosenTurns[n] == rejectedTurns[n] {
				n++
			}
			set.AddPair(dialogue(chosenTurns[:n])+assistantTurn, answer(chosenTurns[n:]), answer(rejectedTurns[n:]), place)
			return nil
		}
		prompt, promptTurns, err := textOrTurns("prompt", row.Prompt)
		if err != nil {
			return err
		}
		if promptTurns != nil {
			prompt = dialogue(promptTurns) + assistantTurn
		}
		if chosenTurns != nil {
			chosen, rejected = answer(chosenTurns), answer(rejectedTurns)
		}
		set.AddPair(prompt, chosen, rejected, place)
		return nil
	})
	return set, err
}

// textOrTurns reads a field that is a string or a conversation.
func textOrTurns(field string, raw json.RawMessage) (string, []message, error) {
	var text *string
	if json.Unmarshal(raw, &text) == nil && text != nil {
		return *text, nil, nil
	}
	var raws []struct {
		Role    string  `json:"role"`
		Content *string `json:"content"`
	}
	if err := json.Unmarshal(raw, &raws); err != nil || len(raws) == 0 {
		return "", nil, fmt.Errorf("%s: want a string or a list of messages with role and content", field)
	}
	turns := make([]message, len(raws))
	for i, t := range raws {
		if t.Role != "user" && t.Role != "assistant" && t.Role != "system" {
			return "", nil, fmt.Errorf("%s[%d]: role %q, want user, assistant or system", field, i, t.Role)
		}
		if t.Content == nil {
			return "", nil, fmt.Errorf("%s[%d]: no content", field, i)
		}
		turns[i] = message{t.Role, *t.Content}
	}
	return "", turns, nil
}

func dialogue(turns []message) string {
	var b strings.Builder
	for _, t := range turns {
		switch t.Role {
		case "user":
			b.WriteString(humanTurn + " " + t.Content)
		case "assistant":
			b.WriteString(assistantTurn + " " + t.Content)
		case "system":
			b.WriteString(t.Content)
		}
	}
	return b.String()
}

// answer is what follows the prompt's "\n\nAssistant:".
func answer(turns []message) string {
	if len(turns) > 0 && turns[0].Role == "assistant" {
		return " " + turns[0].Content + dialogue(turns[1:])
	}
	return dialogue(turns)
}
