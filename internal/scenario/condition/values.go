package condition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/truncate"
	"github.com/wiemu/wiemu/internal/unverified"
)

// Value is a part of a condition that does not hold, and what it was.
type Value struct {
	Expression string `json:"expression"`
	Value      string `json:"value"`
}

// values lists the parts of the condition that explain why it is false: what is compared, but no
// literals and nothing inside of macros, whose variables have many values.
func (p *Condition) values(details *cel.EvalDetails) []Value {
	if details == nil || details.State() == nil {
		return nil
	}
	var named []Value
	seen := map[string]bool{}
	add := func(e ast.Expr) {
		value, evaluated := details.State().Value(e.ID())
		if !evaluated {
			return
		}
		source, err := cel.ExprToString(e, p.ast.SourceInfo(), cel.FormatWrapOnColumn(maxShownText))
		if err != nil || seen[source] {
			return
		}
		seen[source] = true
		named = append(named, Value{Expression: source, Value: show(value)})
	}
	var walk func(ast.Expr)
	walk = func(e ast.Expr) {
		switch e.Kind() {
		case ast.SelectKind, ast.IdentKind, ast.ComprehensionKind:
			add(e)
		case ast.ListKind:
			for _, element := range e.AsList().Elements() {
				walk(element)
			}
		case ast.CallKind:
			c := e.AsCall()
			if !structural[c.FunctionName()] {
				add(e)
			}
			if c.FunctionName() == operators.Index {
				return
			}
			if c.IsMemberFunction() && c.Target().Kind() != ast.ComprehensionKind {
				walk(c.Target())
			}
			for _, argument := range c.Args() {
				walk(argument)
			}
		}
	}
	walk(p.ast.Expr())
	return named
}

// structural are the operators whose own value says nothing that their operands' do not.
var structural = map[string]bool{
	operators.LogicalAnd: true, operators.LogicalOr: true, operators.LogicalNot: true, operators.Conditional: true,
	operators.Equals: true, operators.NotEquals: true, operators.In: true,
	operators.Less: true, operators.LessEquals: true, operators.Greater: true, operators.GreaterEquals: true,
	"timestamp": true, "duration": true,
}

// How much of a value is shown.
const (
	maxShownText     = 400 // bytes
	maxShownElements = 8
)

func show(value ref.Val) string {
	switch v := value.(type) {
	case nil, types.Null:
		return "null"
	case types.String:
		return strconv.Quote(shorten(string(v)))
	case types.Timestamp:
		return v.Format(time.RFC3339)
	case types.Duration:
		return v.String()
	case *types.Err:
		return "error: " + v.String()
	case traits.Lister:
		return showList(v)
	case traits.Mapper:
		return showMap(v)
	}
	switch v := value.Value().(type) {
	case journal.Event:
		return showEvent(v)
	case *journal.Event:
		return showEvent(*v)
	default:
		if encoded, err := json.Marshal(v); err == nil {
			return shorten(string(encoded))
		}
		return shorten(fmt.Sprint(v))
	}
}

func showList(list traits.Lister) string {
	var shown []string
	more := ""
	for it := list.Iterator(); it.HasNext() == types.True; {
		if len(shown) == maxShownElements {
			more = fmt.Sprintf(", … %v in all", list.Size().Value())
			break
		}
		shown = append(shown, show(it.Next()))
	}
	return "[" + strings.Join(shown, ", ") + more + "]"
}

func showMap(m traits.Mapper) string {
	var shown []string
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		shown = append(shown, show(key)+": "+show(m.Get(key)))
	}
	sort.Strings(shown)
	if len(shown) > maxShownElements {
		shown = append(shown[:maxShownElements], fmt.Sprintf("… %d in all", len(shown)))
	}
	return "{" + strings.Join(shown, ", ") + "}"
}

func showEvent(e journal.Event) string {
	return fmt.Sprintf("event %s (%s %s: %s)", e.ID, e.Kind, e.Outcome, e.Summary)
}

func shorten(text string) string { return truncate.Bytes(text, maxShownText) }

// View has the variables of a condition. Conditions name the fields of all types by their
// json tags.
type View struct {
	Results   map[string]Result
	Journal   []journal.Event
	Workloads map[string]Workload
	Clock     Clock
}

// Result is what came of a step: results.NAME in an expression.
type Result struct {
	ExitCode int             `json:"exitCode"`          // of a run, or of what a start began; -1 while that runs
	Running  bool            `json:"running,omitempty"` // whether what a start began has not ended
	Stdout   string          `json:"stdout,omitempty"`  // of a run, or so far
	Stderr   string          `json:"stderr,omitempty"`  // of a run, or so far
	JSON     any             `json:"json,omitempty"`    // of standard output that is JSON
	Lines    []any           `json:"lines,omitempty"`   // of standard output that is JSON, one object or list a line
	Kid      string          `json:"kid,omitempty"`     // of the key that a rotate, publish or removeKey was about
	Token    Token           `json:"token,omitzero"`    // of a copyToken
	Fault    string          `json:"fault,omitempty"`   // the id that a fault step's fault has in the journal
	Events   []journal.Event `json:"events,omitempty"`  // what the journal recorded during the step, or since a start until now or the program's stop
	Started  time.Time       `json:"started,omitzero"`  // lab time
	Finished time.Time       `json:"finished,omitzero"` // lab time
}

// Workload is a workload as it is now: workloads.NAME in an expression.
type Workload struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	ClientID       string `json:"clientId"`
	Token          Token  `json:"token"` // in its token file
}

// Token is a service-account token without its signature.
type Token struct {
	Kid       string         `json:"kid,omitempty"` // "": the file holds no token
	Issuer    string         `json:"issuer,omitempty"`
	Subject   string         `json:"subject,omitempty"`
	Audience  []string       `json:"audience,omitempty"`
	JTI       string         `json:"jti,omitempty"`
	IssuedAt  time.Time      `json:"issuedAt,omitzero"`
	ExpiresAt time.Time      `json:"expiresAt,omitzero"`
	Claims    map[string]any `json:"claims,omitempty"` // all of them
}

// Clock is the lab clock: clock in an expression.
type Clock struct {
	Now     time.Time     `json:"now"`
	Start   time.Time     `json:"start"`
	Elapsed time.Duration `json:"elapsed"`
}

// ParseToken returns what a token file holds. A missing or empty file is a token
// without anything; nothing is verified, that is what the emulator is for.
func ParseToken(content []byte) (Token, error) {
	if len(content) == 0 {
		return Token{}, nil
	}
	token, err := unverified.Parse(string(content))
	if err != nil {
		return Token{}, fmt.Errorf("token file: %w", err)
	}
	header, err := decodePart(token.Header)
	if err != nil {
		return Token{}, fmt.Errorf("token file: header: %w", err)
	}
	claims, err := decodePart(token.Claims)
	if err != nil {
		return Token{}, fmt.Errorf("token file: claims: %w", err)
	}
	t := Token{Claims: claims, IssuedAt: moment(claims["iat"]), ExpiresAt: moment(claims["exp"])}
	t.Kid, _ = header["kid"].(string)
	t.Issuer, _ = claims["iss"].(string)
	t.Subject, _ = claims["sub"].(string)
	t.JTI, _ = claims["jti"].(string)
	audience, _ := claims["aud"].([]any) // Kubernetes always writes a list
	for _, a := range audience {
		if text, ok := a.(string); ok {
			t.Audience = append(t.Audience, text)
		}
	}
	return t, nil
}

func decodePart(part unverified.Part) (map[string]any, error) {
	text, err := part.JSON()
	if err != nil {
		return nil, err
	}
	object, ok := DecodeJSON(text).(map[string]any)
	if !ok {
		return nil, errors.New("expected a JSON object")
	}
	return object, nil
}

// moment is a NumericDate (RFC 7519 §2).
func moment(claim any) time.Time {
	seconds, ok := claim.(int64)
	if !ok {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// DecodeJSON reads an object or a list, with whole numbers as such; nil for anything else.
func DecodeJSON(text []byte) any {
	if text = bytes.TrimSpace(text); len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil || decoder.More() {
		return nil
	}
	return wholeNumbers(v)
}

// DecodeLines reads an object or a list a line; nil if there is a line of anything
// else, but for a last one that is not finished yet.
func DecodeLines(text []byte) []any {
	lines := bytes.SplitAfter(text, []byte("\n"))
	var values []any
	for i, line := range lines {
		v := DecodeJSON(line)
		if v == nil && i == len(lines)-1 {
			break
		}
		if v == nil {
			return nil
		}
		values = append(values, v)
	}
	return values
}

func wholeNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, element := range v {
			v[key] = wholeNumbers(element)
		}
	case []any:
		for i, element := range v {
			v[i] = wholeNumbers(element)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return math.Inf(1)
	}
	return v
}
