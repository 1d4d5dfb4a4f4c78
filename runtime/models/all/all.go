// Package all registers every architecture with package models. Import it for
// its effect; a new architecture is one line here.
package all

import (
	_ "dpolab/runtime/models/gpt2"
	_ "dpolab/runtime/models/gptneox"
	_ "dpolab/runtime/models/llama"
)
