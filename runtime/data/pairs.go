package data

import (
	"encoding/json"
	"fmt"
	"strings"
)

func init() { register("pairs", loadPairs) }

// pairRow is a row of a generic preference file. Each field is a string, or a
// conversation: a list of {"role", "content"} messages.
type pairRow struct {
	Prompt   json.RawMessage `json:"prompt"`
	Chosen   json.RawMessage `json:"chosen"`
	Rejected json.RawMessage `json:"rejected"`
}

// message is one turn of a conversation.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// loadPairs reads prompt, chosen and rejected. Conversations are written as
// Anthropic HH writes them ("\n\nHuman: …\n\nAssistant: …"), and end the prompt
// with "\n\nAssistant:". Without a prompt, chosen and rejected must be
// conversations; the turns they share are the prompt.
func loadPairs(files []string) (*Dataset, error) {
	b := newBuilder("pairs", KeepStart)
	err := eachRow(files, func(row pairRow, place string) error {
		b.set.Report.Rows++
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
			b.pair(dialogue(chosenTurns[:n])+assistantTurn, answer(chosenTurns[n:]), answer(rejectedTurns[n:]), place)
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
		b.pair(prompt, chosen, rejected, place)
		return nil
	})
	return b.set, err
}

// textOrTurns reads a field that is a string or a conversation.
func textOrTurns(field string, raw json.RawMessage) (string, []message, error) {
	var text *string
	if json.Unmarshal(raw, &text) == nil && text != nil {
		return *text, nil, nil
	}
	var turns []message
	if err := json.Unmarshal(raw, &turns); err != nil || len(turns) == 0 {
		return "", nil, fmt.Errorf("%s: want a string or a list of messages with role and content", field)
	}
	for _, t := range turns {
		if t.Role != "user" && t.Role != "assistant" && t.Role != "system" {
			return "", nil, fmt.Errorf("%s: role %q, want user, assistant or system", field, t.Role)
		}
	}
	return "", turns, nil
}

func dialogue(turns []message) string {
	var b strings.Builder
	for _, t := range turns {
		switch t.Role {
		case "user":
			b.WriteString("\n\nHuman: " + t.Content)
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
