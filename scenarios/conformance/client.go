package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// A Mode is a way in which a client meets the emulated hosts.
type Mode string

// The modes, in the order in which a client is run in them.
const (
	Transparent Mode = "transparent" // wiemu run with no option, by no proxy
	Proxy       Mode = "proxy"       // wiemu run --network proxy
	Isolate     Mode = "isolate"     // wiemu run --isolate
	// Lockstep is the scenarios of Client.Lockstep: the client lives on the lab clock.
	Lockstep Mode = "lockstep"
)

var modes = []Mode{Transparent, Proxy, Isolate, Lockstep}

// UnmarshalText reads a mode and refuses any other text.
func (m *Mode) UnmarshalText(text []byte) error {
	*m = Mode(text)
	if !slices.Contains(modes, *m) {
		return errors.New("transparent, proxy, isolate or lockstep") // what was expected: yamlfile says the rest
	}
	return nil
}

// A Client is a directory with a program and client.yaml, which this describes.
// Its commands are bash.
type Client struct {
	Dir string `yaml:"-"` // absolute

	Name      string   `yaml:"name"`       // row of the table, with Credential
	Federated string   `yaml:"credential"` // what the library calls its federated credential (default: federated)
	Package   string   `yaml:"package"`    // the package that has the version to show
	Needs     []string `yaml:"needs"`      // programs, or libraries such as libltdl.so.7; without them the client is skipped
	With      []string `yaml:"with"`       // files elsewhere that Install depends on, relative to Dir

	// Install runs once in a copy of Dir, until a file of Dir or With changes;
	// $WIEMU_CONFORMANCE_SOURCE is Dir itself.
	Install string `yaml:"install"`
	Version string `yaml:"version"` // prints the version of Package, in that copy
	Runtime string `yaml:"runtime"` // prints what the program runs on (default: by the first of Needs)
	Run     string `yaml:"run"`     // is the program, in that copy
	Update  string `yaml:"update"`  // rewrites the pins in Dir to the newest that runs here

	// Credentials are those that the program takes as its argument, each a row of its
	// own. Without Refusal they are all that the client has.
	Credentials []Credential `yaml:"credentials"`

	// Programs are further ones of the same installation, each a row of its own.
	Programs []Program `yaml:"programs"`

	Modes        []Mode   `yaml:"modes"`
	Lockstep     []string `yaml:"lockstep"`      // files of lockstep/, without .yaml
	WithoutProxy bool     `yaml:"without-proxy"` // it ignores proxies: no proxy mode
	Refusal      string   `yaml:"refusal"`       // in its output when its subject is refused
	Escapes      []string `yaml:"escapes"`       // hosts that it is known to try and does without: outside, or accounts that the lab does not have
	Note         string   `yaml:"note"`          // below the table
}

// readClients reads the clients below dir by name, and reports all problems at once.
func readClients(dir string) ([]Client, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "client.yaml"))
	if err != nil {
		return nil, err
	}
	var clients []Client
	var problems yamlfile.Problems
	rows := map[string]string{}
	for _, file := range files {
		c, err := readClient(file)
		if found := (yamlfile.Problems)(nil); errors.As(err, &found) {
			problems = append(problems, found...)
			continue
		} else if err != nil {
			return nil, err
		}
		row := c.Name + " " + c.Federated
		if other, taken := rows[row]; taken {
			problems = append(problems, yamlfile.Problem{File: file, Field: "name", Expected: "a name of its own, or another credential", Found: fmt.Sprintf("%q, which is that of %s", c.Name, other)})
		}
		rows[row] = file
		clients = append(clients, c)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if len(clients) == 0 {
		return nil, fmt.Errorf("%s: expected directories with a client.yaml, found none", dir)
	}
	slices.SortFunc(clients, func(a, b Client) int {
		return strings.Compare(strings.ToLower(a.Name+" "+a.Federated), strings.ToLower(b.Name+" "+b.Federated))
	})
	return clients, nil
}

func readClient(file string) (Client, error) {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return Client{}, err
	}
	data, err := yamlfile.Read(file)
	if err != nil {
		return Client{}, err
	}
	c := Client{Dir: dir}
	node, err := yamlfile.Parse(file, data)
	if err != nil {
		return c, err
	}
	problems := yamlfile.DecodeNode(file, node, &c)
	refuse := func(field, expected, found, fix string) {
		problems = append(problems, yamlfile.Problem{File: file, Line: lineOf(node, field), Field: field, Expected: expected, Found: found, Fix: fix})
	}
	if c.Refusal == "" && len(c.Credentials) == 0 && len(c.Programs) == 0 {
		refuse("refusal", "text", "nothing", "give what the client's own output contains when its subject is refused, such as AADSTS700213; or credentials or programs, for a client that has no federated one")
	}
	for i, p := range c.Programs {
		p.check(func(field, expected, found, fix string) {
			refuse(fmt.Sprintf("programs[%d].%s", i, field), expected, found, fix)
		})
	}
	for i, credential := range c.Credentials {
		if credential.Name == "" || credential.Run == "" {
			refuse(fmt.Sprintf("credentials[%d]", i), "name and run", "less", "name is shown in the table, run is the program's argument")
		}
	}
	for _, f := range []struct{ field, value, fix string }{
		{"name", c.Name, "give the row of the table a name"},
		{"package", c.Package, "name the package whose version is shown"},
		{"version", c.Version, "give a command that prints the package's version"},
		{"run", c.Run, "give the command that is the client"},
	} {
		if strings.TrimSpace(f.value) == "" && (c.reads() || f.field == "name") {
			refuse(f.field, "text", "nothing", f.fix)
		}
	}
	switch {
	case len(c.Modes) == 0 && c.reads():
		refuse("modes", "transparent, proxy, isolate, lockstep", "none", "list the modes that the client runs in")
	case slices.Contains(c.Modes, Lockstep) != (len(c.Lockstep) > 0):
		refuse("lockstep", "scenarios for a client that has the mode lockstep, and for no other", fmt.Sprintf("%d", len(c.Lockstep)), "list the scenarios of scenarios/conformance/lockstep that the client plays, such as day, and lockstep among its modes")
	case c.WithoutProxy && slices.Contains(c.Modes, Proxy):
		refuse("modes", "transparent and isolate", "proxy", "a client that is without-proxy cannot run there")
	}
	c.Federated = cmp.Or(c.Federated, "federated")
	if c.Runtime == "" && len(c.Needs) > 0 {
		c.Runtime = runtimes[c.Needs[0]]
	}
	for _, with := range c.With {
		if _, err := os.Stat(filepath.Join(dir, with)); errors.Is(err, fs.ErrNotExist) {
			refuse("with", "files relative to client.yaml", with+", which is missing", "")
		}
	}
	problems.Sort()
	return c, problems.Err()
}

// reads says whether the client itself is a row, with a credential or several: it reads a
// secret. If not, its programs are all that it has.
func (c Client) reads() bool { return c.Run != "" || len(c.Programs) == 0 }

// runtimes print what programs run on, by the first program that they need.
var runtimes = map[string]string{
	"bash":    `echo "bash ${BASH_VERSION%%(*}"`,
	"curl":    `echo "bash ${BASH_VERSION%%(*}"`,
	"kubectl": `echo "bash ${BASH_VERSION%%(*}"`,
	"go":      `go env GOVERSION | sed 's/^go/Go /'`,
	"node":    `node --version | sed 's/^v/Node /'`,
	"python3": `python3 --version`,
	"java":    `java -version 2>&1 | sed -n 's/^[a-z]* version "\([^"]*\)".*/Java \1/p'`,
}

// lineOf is the line of a field at the top of a file, 0 if it is not there.
func lineOf(top *yaml.Node, field string) int {
	if top.Kind != yaml.MappingNode {
		return 0
	}
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value == field {
			return top.Content[i].Line
		}
	}
	return 0
}

func chosen(clients []Client, matches *regexp.Regexp) []Client {
	return slices.DeleteFunc(slices.Clone(clients), func(c Client) bool {
		return !matches.MatchString(c.Name) && !matches.MatchString(filepath.Base(c.Dir))
	})
}
