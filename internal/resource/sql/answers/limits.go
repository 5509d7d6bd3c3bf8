package answers

import (
	"unicode/utf8"

	"github.com/wiemu/wiemu/internal/resource/sql/tds"
)

// Limits of a batch, together with the texts that it executes. A batch that goes beyond them
// fails; without them it could take all of the memory or the stack, which ends wiemu.
const (
	maxTokens       = 1 << 18   // the depth of sums and conditions is less than that
	maxText         = 16 << 20  // bytes of a text that is put together
	maxHeld         = 128 << 20 // bytes that are assigned to variables
	maxCombinations = 1 << 22   // columns of rows that joins make
	maxSources      = 256       // of a query, as in SQL Server
	maxColumns      = 4096      // of a query, as in SQL Server
	maxName         = 128       // characters, as in SQL Server
)

// exhausted is SQL Server's error of a batch that needs too much memory.
func exhausted() error {
	return &tds.Error{Number: 701, State: 1, Class: 17, Message: "There is insufficient system memory in resource pool 'default' to run this query."}
}

// hold counts what a variable is given.
func (s *Session) hold(v any) error {
	switch v := v.(type) {
	case string:
		s.held += len(v)
	case []byte:
		s.held += len(v)
	}
	if s.held > maxHeld {
		return exhausted()
	}
	return nil
}

// combine counts the columns of a row that a join makes.
func (s *Session) combine(columns int) error {
	if s.combined += columns; s.combined > maxCombinations {
		return exhausted()
	}
	return nil
}

// named returns an error if a name is too long.
func named(t token) error {
	if len(t.text) <= maxName || utf8.RuneCountInString(t.text) <= maxName {
		return nil
	}
	return &tds.Error{Number: 103, State: 4, Class: 15, Line: t.line, Message: "The identifier that starts with '" + first(t.text, maxName) + "' is too long. Maximum length is 128."}
}

// first are the first n characters of a text.
func first(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}
