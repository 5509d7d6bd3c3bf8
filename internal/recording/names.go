package recording

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/redact"
)

// names gives what is different in every run the same name in a session and its replay: an ordinal.
type names struct {
	mu     sync.Mutex
	fixed  map[string]bool   // ids that are the same in every run
	byText map[string]string // what was seen → its name, without the braces
	byName map[string]string
	counts map[string]int // of names that begin alike

	secrets []string       // by ordinal
	made    []string       // by ordinal: those that the lab has made
	hidden  redact.Secrets // both, labelled with their names
}

func newNames() *names {
	return &names{fixed: map[string]bool{}, byText: map[string]string{}, byName: map[string]string{}, counts: map[string]int{}}
}

var (
	// candidate is what an id can look like: base64url, hexadecimal, a GUID.
	candidate = lazyregexp.New(`[A-Za-z0-9_-]{16,}`)
	// random matches an id that was not announced: a GUID of version 4, which is random (RFC 9562
	// §5.4), also without hyphens. Those that wiemu derives from names are of version 5.
	random = lazyregexp.New(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{12}4[0-9a-f]{19}\b`)
	// placeholder is a name where it stands for something.
	placeholder = lazyregexp.New(`\{\{([a-z]+ [^{}]+)\}\}`)
	// ordinal is what a token is called.
	ordinal = lazyregexp.New(`^[0-9]+\.[0-9]+$`)
)

func (n *names) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fixed, n.byText, n.byName, n.counts, n.secrets, n.made = map[string]bool{}, map[string]string{}, map[string]string{}, map[string]int{}, nil, nil
}

// put gives a text a name. One that has a name keeps that, and has both.
func (n *names) put(name, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.give(name, text)
}

func (n *names) give(name, text string) {
	if text == "" {
		return
	}
	if _, named := n.byText[text]; !named {
		n.byText[text] = name
	}
	if kind, _, _ := strings.Cut(name, " "); kind == "lab" || kind == "machine" || kind == "made" { // secrets of the lab
		n.hidden.Add("{{"+name+"}}", text)
	}
	if _, taken := n.byName[name]; !taken {
		n.byName[name] = text
	}
}

// next gives a text the next name of a kind within a scope, such as id 5.2.
func (n *names) next(kind string, scope, text string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.following(kind, scope, text)
}

func (n *names) following(kind, scope, text string) string {
	if named, ok := n.byText[text]; ok {
		return named
	}
	n.counts[kind+scope]++
	name := fmt.Sprintf("%s %s%d", kind, scope, n.counts[kind+scope])
	n.give(name, text)
	return name
}

func (n *names) of(text string) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name, ok := n.byText[text]
	return name, ok
}

func (n *names) text(name string) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	text, ok := n.byName[name]
	return text, ok
}

// keep says that the ids in a text are the same in every run.
func (n *names) keep(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range random().FindAllString(text, -1) {
		if _, named := n.byText[id]; !named {
			n.fixed[id] = true
		}
	}
}

// known replaces what has a name by it.
func (n *names) known(text string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.replace(text)
}

func (n *names) replace(text string) string {
	if name, ok := n.byText[text]; ok {
		return "{{" + name + "}}"
	}
	named := func(found string) string {
		if name, ok := n.byText[found]; ok {
			return "{{" + name + "}}"
		}
		return found
	}
	return random().ReplaceAllStringFunc(candidate().ReplaceAllStringFunc(text, named), named) // also within a longer word
}

// all is known, and names the ids that were not announced by the input in which they first occur.
func (n *names) all(input int, text string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return random().ReplaceAllStringFunc(n.replace(text), func(found string) string {
		if n.fixed[found] {
			return found
		}
		return "{{" + n.following("id", fmt.Sprintf("%d.", input), found) + "}}"
	})
}

// secret is the name of a secret: those of the configuration have the first.
func (n *names) secret(value string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if value == "" || isSecretName().MatchString(value) {
		return value
	}
	if i := slices.Index(n.made, value); i >= 0 {
		return madeName(i + 1)
	}
	if i := slices.Index(n.secrets, value); i >= 0 {
		return secretName(i + 1)
	}
	if name, ok := n.byText[value]; ok { // a secret of the lab itself, or a token
		return "{{" + name + "}}"
	}
	n.secrets = append(n.secrets, value)
	name := secretName(len(n.secrets))
	n.hidden.Add(name, value)
	return name
}

func (n *names) isSecret(value string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.secrets, value)
}

// madeSecret gives a name to a secret that the lab has made.
func (n *names) madeSecret(value string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.made = append(n.made, value)
	n.give(strings.Trim(madeName(len(n.made)), "{}"), value)
}

var isSecretName = lazyregexp.New(`^\{\{(made )?secret [0-9]+\}\}$`)

func secretName(ordinal int) string { return fmt.Sprintf("{{secret %d}}", ordinal) }

func madeName(ordinal int) string { return fmt.Sprintf("{{made secret %d}}", ordinal) }

// secretsIn replaces the secrets that stand somewhere in a text. Short ones are
// no longer recognisable there, and it would take words apart.
func (n *names) secretsIn(text string) string {
	return n.hidden.Replace(text, func(f redact.Found) string {
		if f.Token != "" {
			return f.Text
		}
		return f.Label
	})
}

// hints replaces what the journal has in the place of tokens and secrets by the names
// of these. Redacted returns what the journal would have for a secret.
func (n *names) hints(text string, redacted func(string) string) string {
	return redact.IsHint().ReplaceAllStringFunc(text, func(hint string) string {
		if name, ok := n.of(hint); ok {
			return "{{" + name + "}}"
		}
		if strings.HasPrefix(hint, "[redacted: token ") || strings.HasPrefix(hint, "[redacted: part of a token") {
			return cutName // which was cut before the journal had it
		}
		n.mu.Lock()
		secrets, made := n.secrets, n.made
		n.mu.Unlock()
		is := func(secret string) bool { return redacted(secret) == hint }
		if i := slices.IndexFunc(made, is); i >= 0 {
			return madeName(i + 1)
		}
		if i := slices.IndexFunc(secrets, is); i >= 0 {
			return secretName(i + 1)
		}
		return hint
	})
}

// cutName stands for a token of which not all is there.
const cutName = "{{part of a token}}"
