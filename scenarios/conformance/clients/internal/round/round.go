// Package round is what the clients of the conformance table that are written in Go have in
// common: a round of operations, each once, or a look every so often. It is no client itself.
package round

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// Operation is one thing that a client does. It panics if that fails: see [Check].
type Operation struct {
	Name string
	Do   func(context.Context)
}

// Play does operations, and then waits for the end of the input. The first that fails ends the
// program.
func Play(operations []Operation) {
	for _, o := range operations {
		Do(o.Name, o.Do)
		fmt.Println(o.Name, "ok")
	}
	fmt.Println("round done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// Again does the same again each time that a line of input asks for it. If it fails, it prints the
// text of that in full, and ends the program.
func Again(do func(context.Context)) {
	for again := bufio.NewScanner(os.Stdin); ; {
		if failure := try(do); failure != nil {
			fmt.Println(failure)
			os.Exit(1)
		}
		fmt.Println("round done")
		if !again.Scan() {
			return
		}
	}
}

// Do does one thing, which ends the program if it fails.
func Do(name string, do func(context.Context)) {
	if failure := try(do); failure != nil {
		fmt.Println(name, "failed", strings.Join(strings.Fields(fmt.Sprint(failure)), " "))
		os.Exit(1)
	}
}

func try(do func(context.Context)) (failure any) {
	defer func() { failure = recover() }()
	do(context.Background())
	return nil
}

// Watch looks every so many seconds until the program is ended, and prints what look puts into the
// line of JSON, and whether it failed.
func Watch(seconds string, look func(ctx context.Context, line map[string]any)) {
	every, lines := Must(time.ParseDuration(seconds+"s")), json.NewEncoder(os.Stdout)
	for ; ; time.Sleep(every) {
		line := map[string]any{"ok": true}
		if failure := try(func(ctx context.Context) { look(ctx, line) }); failure != nil {
			line["ok"], line["error"] = false, fmt.Sprint(failure)
		}
		Check(lines.Encode(line))
	}
}

// Check panics if there is an error.
func Check(err error) {
	if err != nil {
		panic(err)
	}
}

// Must returns a value, or panics if there is an error.
func Must[T any](v T, err error) T { Check(err); return v }

// Want panics, with what was found, unless something is as expected.
func Want(ok bool, found ...any) {
	if !ok {
		panic(fmt.Sprint(append([]any{"not as expected: "}, found...)...))
	}
}

// Equal panics unless what was found is what was expected.
func Equal[T comparable](found, expected T) {
	if found != expected {
		panic(fmt.Sprintf("expected %v, found %v", expected, found))
	}
}

// RefusedAs panics unless an error is a refusal of Azure with a code.
func RefusedAs(code string, err error) {
	if refused, ok := errors.AsType[*azcore.ResponseError](err); !ok || refused.ErrorCode != code {
		panic(fmt.Sprintf("expected %s, found %v", code, err))
	}
}

// ReadClaims reads the claims of a token.
func ReadClaims(token string, into any) {
	Check(json.Unmarshal(Must(base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])), into))
}
