package redis

import (
	"cmp"
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/internal/lazyregexp"
)

//go:embed commands.txt
var commandText string

// command is what access policies and sessions know of one.
type command struct {
	categories []string
	keys       string // see commands.txt
}

func (c command) is(category string) bool {
	return category == "all" || slices.Contains(c.categories, category)
}

// commands are those of commands.txt by name, in lower case.
var commands = sync.OnceValue(func() map[string]command {
	all := map[string]command{}
	for line := range strings.Lines(commandText) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.SplitN(line, ";", 3)
		made := command{strings.Fields(fields[0]), strings.TrimSpace(fields[1])}
		for name := range strings.FieldsSeq(fields[2]) {
			all[name] = made
		}
	}
	return all
})

// categories are those that rules may name; fast and slow, which say how long a command takes,
// are not among them.
func categories() []string {
	return strings.Fields("all read write string bitmap hash list set sortedset stream hyperloglog geo keyspace pubsub transaction scripting connection blocking admin dangerous")
}

// policy is a data access policy: rules of Redis's ACL, in order.
// Source: redis.io, "ACL", "Command categories", "Key permissions".
type policy struct {
	name  string
	text  string
	rules []string // of commands: +get, -@dangerous, +cluster|info
	keys  []permittedKeys
}

// permittedKeys are those of a pattern, for reading, writing or both.
type permittedKeys struct {
	pattern     string
	read, write bool
}

// The built-in access policies. Their permissions are not in the documentation; seen, the same in
// each, in public exports of caches (Microsoft.Cache/Redis/accessPolicies of 2024-11-01 and
// 2025-08-01-preview) and in the output of az redis access-policy list. Azure Managed Redis has
// one, which may do everything, under the name default.
func builtIn() map[string]string {
	return map[string]string{
		"Data Owner":       "+@all allkeys",
		"Data Contributor": "+@all -@dangerous +cluster|info +cluster|nodes +cluster|slots allkeys",
		"Data Reader":      "+@read +@connection +cluster|info +cluster|nodes +cluster|slots allkeys",
		"default":          "+@all allkeys",
	}
}

// least is the built-in policy of Azure Cache for Redis with the fewest rights that permits a command.
func least(args []string) string {
	for _, name := range []string{"Data Reader", "Data Contributor"} {
		if p, err := parsePolicy(name, builtIn()[name]); err == nil && p.permits("", args) == "" {
			return name
		}
	}
	return "Data Owner"
}

// parsePolicy reads the permissions of a policy.
func parsePolicy(name, text string) (policy, error) {
	p := policy{name: name, text: text}
	for rule := range strings.FieldsSeq(text) {
		switch lower := strings.ToLower(rule); {
		case lower == "allkeys":
			p.keys = append(p.keys, permittedKeys{"*", true, true})
		case lower == "allcommands":
			p.rules = append(p.rules, "+@all")
		case lower == "nocommands":
			p.rules = append(p.rules, "-@all")
		case lower == "on" || lower == "allchannels":
		case strings.HasPrefix(rule, "~"):
			p.keys = append(p.keys, permittedKeys{rule[1:], true, true})
		case strings.HasPrefix(rule, "%") && strings.Contains(rule, "~"):
			how, pattern, _ := strings.Cut(strings.ToUpper(rule[1:strings.Index(rule, "~")])+"~"+rule[strings.Index(rule, "~")+1:], "~")
			if strings.Trim(how, "RW") != "" || how == "" {
				return p, fmt.Errorf("expected %%R~, %%W~ or %%RW~ before a pattern, found %s", rule)
			}
			p.keys = append(p.keys, permittedKeys{pattern, strings.Contains(how, "R"), strings.Contains(how, "W")})
		case strings.HasPrefix(lower, "+@") || strings.HasPrefix(lower, "-@"):
			if !slices.Contains(categories(), lower[2:]) {
				return p, fmt.Errorf("expected a category of %s, found %s", strings.Join(categories(), ", "), rule)
			}
			p.rules = append(p.rules, lower)
		case strings.HasPrefix(lower, "+") || strings.HasPrefix(lower, "-"):
			first, _, _ := strings.Cut(lower[1:], "|")
			if _, ok := commands()[first]; !ok {
				return p, fmt.Errorf("expected a command of Redis, found %s", rule)
			}
			p.rules = append(p.rules, lower)
		default:
			return p, fmt.Errorf("expected rules such as +@read, -@dangerous, +get, ~app:* or allkeys, found %s", rule)
		}
	}
	return p, nil
}

// permits reports whether a policy allows a command with its arguments; else why not, as Redis
// says it. Source: redis/src/acl.c, getAclErrorMessage.
func (p policy) permits(user string, args []string) (refusal string) {
	name := strings.ToLower(args[0])
	known, ok := commands()[name]
	if !ok {
		if p.isUnlimited() {
			return "" // the engine says whether there is one
		}
		return unknownCommand(args)
	}
	sub := ""
	if len(args) > 1 {
		sub = name + "|" + strings.ToLower(args[1])
		if its, ok := commands()[sub]; ok {
			known = its
		}
	}
	allowed := name == "auth" || name == "hello" || name == "quit" || name == "reset" // without which nobody logs in; Redis marks them no_auth
	for _, rule := range p.rules {
		what := rule[1:]
		if category, isCategory := strings.CutPrefix(what, "@"); isCategory && known.is(category) || what == name || sub != "" && what == sub {
			allowed = rule[0] == '+'
		}
	}
	if !allowed {
		switch name {
		case "client", "cluster", "xinfo", "xgroup", "object", "memory", "script", "pubsub":
			name = cmp.Or(sub, name)
		}
		return fmt.Sprintf("NOPERM User %s has no permissions to run the '%s' command", user, name)
	}
	write := known.is("write")
	for _, key := range known.keysOf(args) {
		if !slices.ContainsFunc(p.keys, func(k permittedKeys) bool {
			return (write && k.write || !write && k.read) && matches(k.pattern, key)
		}) {
			return "NOPERM No permissions to access a key"
		}
	}
	return ""
}

// isUnlimited reports whether a policy permits every command on every key, so that it does not
// matter what a command is.
func (p policy) isUnlimited() bool {
	unlimited := false
	for _, rule := range p.rules {
		unlimited = rule == "+@all" || unlimited && rule[0] == '+'
	}
	return unlimited && slices.Contains(p.keys, permittedKeys{"*", true, true})
}

// unknownCommand says that there is no such command, as Redis does.
// Source: redis/src/server.c, commandCheckExistence.
func unknownCommand(args []string) string {
	var beginning strings.Builder
	for _, arg := range args[1:] {
		if beginning.Len() >= mostQuoted {
			break
		}
		fmt.Fprintf(&beginning, "'%.*s' ", mostQuoted-beginning.Len(), arg)
	}
	return fmt.Sprintf("ERR unknown command '%.*s', with args beginning with: %s", mostQuoted, args[0], beginning.String())
}

const mostQuoted = 128

// matches reports whether a key is of a pattern, as Redis's stringmatchlen has it but for escapes
// that path.Match does not know; a slash is a character as any other.
func matches(pattern, key string) bool {
	if pattern == "*" {
		return true
	}
	const other = "\x00"
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", other), strings.ReplaceAll(key, "/", other))
	return err == nil && ok
}

// keysOf returns the keys among the arguments of a command.
func (c command) keysOf(args []string) []string {
	counted := func(at int) []string {
		if at >= len(args) {
			return nil
		}
		n, err := strconv.Atoi(args[at])
		if err != nil || n < 0 || at+1+n > len(args) {
			return nil
		}
		return args[at+1 : at+1+n]
	}
	upTo := func(n int) []string { return args[min(1, len(args)):min(n+1, len(args))] }
	switch c.keys {
	case "1":
		return upTo(1)
	case "2":
		return upTo(2)
	case "2nd":
		return args[min(2, len(args)):min(3, len(args))]
	case "all":
		return args[1:]
	case "-1":
		return args[1:max(1, len(args)-1)]
	case "1-":
		return args[min(2, len(args)):]
	case "odd":
		var keys []string
		for i := 1; i < len(args); i += 2 {
			keys = append(keys, args[i])
		}
		return keys
	case "1+":
		return counted(1)
	case "2+":
		return counted(2)
	case "1,2+":
		return append(slices.Clone(upTo(1)), counted(2)...)
	case "store":
		keys := upTo(1)
		for i := 2; i+1 < len(args); i++ {
			if strings.EqualFold(args[i], "store") || strings.EqualFold(args[i], "storedist") {
				keys = append(slices.Clone(keys), args[i+1])
			}
		}
		return keys
	case "streams":
		i := slices.IndexFunc(args, func(arg string) bool { return strings.EqualFold(arg, "streams") })
		if i < 0 {
			return nil
		}
		rest := args[i+1:]
		return rest[:len(rest)/2]
	}
	return nil
}

// isBlocked reports whether Azure has a command blocked: clients see an unknown one. Source:
// azure-docs, cache-configure.md, "Redis commands not supported in Azure Cache for Redis", with the
// writing ones of CLUSTER. MONITOR, which Azure permits, is not emulated.
func isBlocked(args []string) bool {
	switch strings.ToLower(args[0]) {
	case "bgrewriteaof", "bgsave", "config", "debug", "migrate", "module", "monitor", "psync", "replicaof", "replconf", "save", "shutdown", "slaveof", "sync", "failover", "acl":
		return true
	case "cluster":
		return len(args) > 1 && slices.Contains([]string{"addslots", "addslotsrange", "bumpepoch", "delslots", "delslotsrange", "failover", "flushslots", "forget", "meet", "replicate", "reset", "saveconfig", "set-config-epoch", "setslot"}, strings.ToLower(args[1]))
	case "client":
		return len(args) > 1 && strings.EqualFold(args[1], "reply") // which changes how many answers follow
	}
	return false
}

// fileWords are names by which a Lua script gets at loadfile and its like, as the engine in memory
// leaves them to it (gopher-lua's base, package and debug libraries). Redis takes these away from
// scripts: redis/src/script_lua.c, allow lists.
var fileWords = lazyregexp.New(`\b(?:loadfile|dofile|require|module|package|debug|load|loadstring|getfenv|setfenv|_G)\b`)

// reachesFiles returns the word of the script in a command, if there is one, by which it could get
// at files.
func reachesFiles(args []string) string {
	script := ""
	switch strings.ToLower(args[0]) {
	case "eval", "eval_ro":
		if len(args) > 1 {
			script = args[1]
		}
	case "script":
		if len(args) > 2 {
			script = args[2]
		}
	}
	return fileWords().FindString(script)
}
