package draft

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
)

func (d *drafter) convert() {
	inputs := d.recorded.Inputs
	covered := map[int]bool{} // requests to resources that are part of a run already
	for i, in := range inputs {
		switch {
		case covered[in.ID]:
		case in.Endpoint == server.ControlEndpoint:
			d.control(in)
		case in.Endpoint == server.GatewayEndpoint && isExchange(in):
			d.exchange(i, covered, "")
		case in.Endpoint == server.BindingsEndpoint && isExchange(in):
			d.exchange(i, covered, "binding")
		case in.Endpoint == server.BindingsEndpoint && in.Method == "GET": // documents, which a run asks for itself
		case strings.HasPrefix(in.Endpoint, server.MachineEndpoint):
			d.managed(i, covered)
		case in.Endpoint == server.GatewayEndpoint && in.Outcome.Event["kind"] == string(journal.Access):
			if in.Outcome.Refused() || in.Workload != "" { // not a challenge, which a run asks for itself
				d.later(in)
			}
		case in.Endpoint != server.GatewayEndpoint:
			d.remark(in.At, in, "scenarios have no step for a request at the endpoint "+strings.TrimSpace(in.Endpoint))
		}
	}
}

// control adds a step for a request that changed the lab.
func (d *drafter) control(in recording.Input) {
	path, body := strings.TrimPrefix(in.Path, "/v1/"), []byte(in.Body)
	parts := strings.Split(path, "/")
	switch {
	case in.Outcome.Status >= 400:
		d.remark(in.At, in, "it was refused")
	case path == "workloads": // they are there from the start
	case len(parts) == 3 && parts[0] == "keys":
		d.keys(in, parts[1], parts[2])
	case parts[0] == "faults":
		d.fault(in, parts[1:])
	case path == "clock/skew":
		var skew controlapi.SkewRequest
		if json.Unmarshal(body, &skew) == nil {
			d.add(in.At, "- skew: {part: %s, by: %s}", quoted(skew.Component), quoted(skew.By))
			return
		}
		d.remark(in.At, in, "its body is not understood")
	case path == "workloads/move":
		var move session.Moving
		if json.Unmarshal(body, &move) != nil {
			d.remark(in.At, in, "its body is not understood")
			return
		}
		for _, a := range d.workloads {
			if a.Namespace == move.Namespace && a.ServiceAccount == move.ServiceAccount {
				later := ""
				if move.AtNextRefresh {
					later = ", atNextRefresh: true"
				}
				d.add(in.At, "- moveWorkload: {workload: %s, issuer: %s%s}", quoted(a.Name), quoted(move.Issuer), later)
			}
		}
	default:
		d.remark(in.At, in, "there is no step for it")
	}
}

func (d *drafter) keys(in recording.Input, ring, change string) {
	if name, err := url.PathUnescape(ring); err == nil {
		ring = name
	}
	var remove controlapi.RemoveKeyRequest
	switch {
	case change == "rotate" || change == "publish":
		d.add(in.At, "- %s: {issuer: %s}", change, quoted(ring))
	case change == "remove" && json.Unmarshal([]byte(in.Body), &remove) == nil && !strings.Contains(remove.Key, "{{"):
		key := ""
		if remove.Key != "" {
			key = ", key: " + quoted(remove.Key)
		}
		d.add(in.At, "- removeKey: {issuer: %s%s}", quoted(ring), key)
	default:
		d.remark(in.At, in, "a step names a key by its stage, or by an id that it cannot know before")
	}
}

// fault is a step for a fault that was injected, or ended: those at one's own
// path. Ids count all faults, those from the start too.
func (d *drafter) fault(in recording.Input, path []string) {
	var f fault.Fault
	switch {
	case in.Method == "DELETE" && len(path) == 0:
		d.add(in.At, "- clearFault: all")
	case in.Method == "DELETE":
		if name := d.faults[path[0]]; name != "" {
			d.add(in.At, "- clearFault: %s", name)
			return
		}
		d.remark(in.At, in, "the fault was there from the start")
	case json.Unmarshal([]byte(in.Body), &f) != nil || strings.Contains(in.Body, "{{"):
		d.remark(in.At, in, "a step cannot name the key that the fault is for")
	default:
		id := fmt.Sprintf("f%d", len(d.recorded.State.Config.Faults)+len(d.recorded.State.Faults)+len(d.faults)+1)
		d.faults[id] = "fault_" + id
		text, err := json.Marshal(d.seeded(f))
		if err != nil {
			d.remark(in.At, in, err.Error())
			return
		}
		d.add(in.At, "- name: %s\n  fault: %s", d.faults[id], text)
	}
}

// seeded is a fault that hits the same calls in every lab.
func (d *drafter) seeded(f fault.Fault) fault.Fault {
	if f.When.Probability > 0 && f.When.Seed == 0 {
		f.When.Seed = d.recorded.State.Seed
	}
	return f
}

var tokenPath = lazyregexp.New(`(?i)^/+([^/?]+)/+oauth2/+(?:v2\.0/+)?token/?(?:\?|$)`)

func isExchange(in recording.Input) bool {
	return strings.EqualFold(in.Method, "POST") && tokenPath().MatchString(in.Path)
}

// exchange is a run for a token request and for what its token was used for.
func (d *drafter) exchange(i int, covered map[int]bool, credential string) {
	in := d.recorded.Inputs[i]
	asked := parameters(in)
	scope := strings.TrimSpace(cmp.Or(asked.Get("scope"), asked.Get("resource")))
	if asked.Has("resource") && !strings.HasSuffix(scope, "/.default") {
		scope = strings.TrimSuffix(scope, "/") + "/.default"
	}
	id, ok := strings.CutPrefix(strings.Trim(strings.TrimSpace(asked.Get("client_assertion")), "{}"), "token ")
	token, known := d.tokens[id]
	switch {
	case asked.Get("client_secret") != "" || strings.HasPrefix(token.SignedBy, "certificate "):
		d.proved(i, covered, scope)
		return
	case !ok || !known:
		d.remark(in.At, in, "it has no assertion")
		return
	case token.Answered:
		d.remark(in.At, in, "its assertion had been asked for, and was in no token file")
		return
	case credential == "binding" && in.Outcome.Refused() && in.Outcome.Code == 0:
		d.remark(in.At, in, "the identity-binding proxy refused it ("+in.Outcome.Short()+"); a workload of a scenario is bound, unless config.identityBindings says who is")
		return
	case token.SignedBy == "":
		d.remark(in.At, in, "nobody in the lab has signed its assertion: "+in.Outcome.Short())
		return
	}
	clientID := strings.TrimSpace(asked.Get("client_id"))
	account := accountOf(token)
	actor := d.names[actorKey(account, clientID)]
	env := map[string]string{}
	if actor == "" { // a workload with another client id than its own
		if actor = d.anyOf(account); actor == "" {
			d.remark(in.At, in, account+" is no workload of the session")
			return
		}
		env["AZURE_CLIENT_ID"] = clientID
	}
	if tenant := tokenPath().FindStringSubmatch(in.Path)[1]; !d.isDefaultTenant(actor, tenant) {
		env["AZURE_TENANT_ID"] = tenant
	}
	run := d.newRun(actor, scope)
	run.env = env
	if copied := d.copied(token, in); copied != "" {
		run.token = copied
	}
	use, failed := d.used(i, covered)
	switch {
	case use != nil:
		run.command = use
	case in.Outcome.Refused():
		if wanted := d.wanted(i); wanted != nil && strings.Contains(scope, "vault") {
			run.command = wanted
		}
	}
	d.ran(in, run.with(credential), failed)
}

// proved is a run for a request with a client secret or an assertion that the application signed.
func (d *drafter) proved(i int, covered map[int]bool, scope string) {
	in := d.recorded.Inputs[i]
	clientID := strings.TrimSpace(parameters(in).Get("client_id"))
	n := slices.IndexFunc(d.workloads, func(a config.Workload) bool {
		return config.OfApplication(a.Credential) && strings.EqualFold(a.ClientID, clientID)
	})
	if n < 0 || in.Outcome.Refused() {
		d.remark(in.At, in, "no workload of the session was given this secret or certificate; to run one that has it, give it credential: secret or certificate")
		return
	}
	d.use(i, covered, d.newRun(d.workloads[n].Name, scope), "environment")
}

// managed is a run for a token that a machine was asked for.
func (d *drafter) managed(i int, covered map[int]bool) {
	in := d.recorded.Inputs[i]
	asked, err := url.Parse(in.Path)
	account := cmp.Or(strings.TrimPrefix(in.Endpoint, server.MachineEndpoint), in.Workload)
	actor := d.anyOf(account)
	if err != nil || actor == "" || asked.Query().Get("resource") == "" {
		d.remark(in.At, in, "it is no request of a workload for a token")
		return
	}
	d.use(i, covered, d.newRun(actor, strings.TrimSuffix(asked.Query().Get("resource"), "/")+"/.default"), "managed")
}

// newRun is a run of wiemu-workload that asks for an access token.
func (d *drafter) newRun(actor, scope string) runStep {
	d.runs++
	return runStep{name: fmt.Sprintf("run_%d", d.runs), actor: actor, command: []string{"wiemu-workload", "token", "--scope", scope}}
}

// use adds a run for a token request with a credential, and for what its token was used for.
func (d *drafter) use(i int, covered map[int]bool, run runStep, credential string) {
	use, failed := d.used(i, covered)
	if use != nil {
		run.command = use
	}
	d.ran(d.recorded.Inputs[i], run.with(credential), failed)
}

func (d *drafter) ran(in recording.Input, run runStep, failed *recording.Outcome) {
	d.add(in.At, "%s", run.text())
	switch {
	case in.Outcome.Code != 0:
		d.add(in.At, "- expect:\n    - results.%s.exitCode == 1\n    - results.%[1]s.json.code == %d", run.name, in.Outcome.Code)
	case in.Outcome.Refused():
		d.add(in.At, "- expect:\n    - results.%s.exitCode == 1\n    - results.%[1]s.json.status == %d", run.name, in.Outcome.Status)
	case failed != nil:
		d.add(in.At, "- expect:\n    - results.%s.exitCode == 1\n    - results.%[1]s.json.status == %d", run.name, failed.Status)
	default:
		d.add(in.At, "- expect:\n    - results.%s.exitCode == 0", run.name)
	}
}

type runStep struct {
	name, actor, token string
	command            []string
	env                map[string]string
}

func (r runStep) with(credential string) runStep {
	if credential != "" {
		r.command = slices.Insert(slices.Clone(r.command), 2, "--credential="+credential)
	}
	return r
}

func (r runStep) text() string {
	more := ""
	if r.token != "" {
		more += ", token: " + r.token
	}
	if len(r.env) > 0 {
		var pairs []string
		for name, value := range r.env {
			pairs = append(pairs, name+": "+quoted(value))
		}
		slices.Sort(pairs)
		more += ", env: {" + strings.Join(pairs, ", ") + "}"
	}
	return fmt.Sprintf("- name: %s\n  run: {workload: %s%s, command: %s}", r.name, quoted(r.actor), more, list(r.command))
}

func accountOf(t recording.Token) string {
	subject, _ := t.Claims["sub"].(string)
	return strings.Replace(strings.TrimPrefix(subject, azwi.SubjectPrefix), ":", "/", 1)
}

// anyOf is a workload with that service account.
func (d *drafter) anyOf(account string) string {
	for _, a := range d.workloads {
		if a.Namespace+"/"+a.ServiceAccount == account {
			return a.Name
		}
	}
	return ""
}

// isDefaultTenant reports whether a workload would ask that tenant by itself.
func (d *drafter) isDefaultTenant(actor, tenant string) bool {
	completed, err := d.config.Complete("")
	if err != nil {
		return true
	}
	own := ""
	for _, a := range d.workloads {
		if a.Name == actor {
			own = a.Tenant
		}
	}
	for i, t := range completed.Tenants {
		if own == "" && i == 0 || own == t.ID || slices.Contains(t.Domains, own) {
			return strings.EqualFold(t.ID, tenant)
		}
	}
	return true
}

// copied is the name of the copy of a token that was presented although a newer one was in the
// file; "" when it was the one in the file. The copy is taken when the token was new.
func (d *drafter) copied(t recording.Token, in recording.Input) string {
	jti, _ := t.Claims["jti"].(string)
	var minted recording.Since
	var account string
	newer, found := false, false
	for _, e := range d.recorded.Events {
		switch {
		case e.Kind != string(journal.Projection) || e.Outcome != string(journal.OK):
		case e.JTI == jti:
			minted, account, found = e.At, e.Workload, true
		case found && e.Workload == account && e.At <= in.At:
			newer = true
		}
	}
	if !found || !newer {
		return ""
	}
	name := "token_" + strings.Trim(notInStepNames().ReplaceAllString(strings.TrimPrefix(strings.Trim(jti, "{}"), "jti "), "_"), "_")
	text := fmt.Sprintf("- {name: %s, copyToken: {workload: %s}}", name, quoted(d.anyOf(account)))
	if !slices.ContainsFunc(d.steps, func(s step) bool { return len(s.lines) > 0 && s.lines[0] == text }) {
		at := minted
		if at > recording.Since(noticeable) { // a little later: when exactly it is renewed is drawn
			at += recording.Since(noticeable)
		}
		d.steps = append([]step{{at: at, lines: []string{text}}}, d.steps...)
	}
	return name
}

var notInStepNames = lazyregexp.New(`[^A-Za-z0-9]+`)

// used is the first use of an exchange's access token as a command, and its failure.
func (d *drafter) used(i int, covered map[int]bool) (command []string, failed *recording.Outcome) {
	exchange := d.recorded.Inputs[i]
	for _, given := range exchange.Outcome.Tokens {
		name := "{{token " + given.ID + "}}"
		for n := range d.recorded.Inputs[i+1:] {
			in := &d.recorded.Inputs[i+1+n]
			if !slices.ContainsFunc(in.Header["Authorization"], func(v string) bool { return strings.Contains(v, name) }) {
				continue
			}
			if time.Duration(in.At-exchange.At) > atOnce {
				return command, failed
			}
			this := commandFor(*in)
			switch {
			case this == nil:
			case command == nil:
				command = this
				fallthrough
			case slices.Equal(command, this):
				covered[in.ID] = true
				if in.Outcome.Refused() && failed == nil {
					failed = &in.Outcome
				}
			}
		}
	}
	return command, failed
}

// atOnce is how long after an exchange the use of its token belongs to the same run.
const atOnce = time.Minute

// commandFor asks for the same as a request to a resource; nil when wiemu-workload cannot.
func commandFor(in recording.Input) []string {
	path, _, _ := strings.Cut(in.Path, "?")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	host, rest, _ := strings.Cut(in.Host, ".")
	switch {
	case in.Method != "GET":
		return nil
	case strings.HasPrefix(rest, "vault.") && len(parts) >= 2 && strings.EqualFold(parts[0], "secrets"):
		vault := host
		if rest != "vault.azure.net" {
			vault = "https://" + in.Host
		}
		return []string{"wiemu-workload", "secret", "get", vault, parts[1]}
	case in.Host == "graph.microsoft.com":
		return []string{"wiemu-workload", "graph", "GET", path}
	}
	return nil
}

// wanted is what a refused program had asked a vault for, without a token, just before.
func (d *drafter) wanted(i int) []string {
	refused := d.recorded.Inputs[i]
	for _, in := range slices.Backward(d.recorded.Inputs[:i]) {
		if time.Duration(refused.At-in.At) > atOnce {
			return nil
		}
		if detail, ok := in.Outcome.Event["detail"].(map[string]any); ok && detail["challenge"] == "true" {
			return commandFor(in)
		}
	}
	return nil
}

// later adds a remark: a run has no token from before. Uses of one token are one remark.
func (d *drafter) later(in recording.Input) {
	var name string
	for _, value := range in.Header["Authorization"] {
		name = cmp.Or(name, value)
	}
	if in.Outcome.Refused() {
		d.remark(in.At, in, fmt.Sprintf("an access token of before was used and refused (%s); %s", in.Outcome.Short(), noToken))
		return
	}
	again := d.again[name]
	if again == nil {
		again = &reuse{first: in}
		d.again[name] = again
		d.steps = append(d.steps, step{at: in.At, reuse: again})
	}
	again.times++
	again.last = in.At
}

const noToken = "every run begins without one. A program that runs all the time does this: see watch and --keep-token of wiemu-workload"

// reuse is an access token that was used again and again.
type reuse struct {
	first recording.Input
	last  recording.Since
	times int
}

func (r *reuse) text() string {
	in := r.first
	times := "once"
	if r.times > 1 {
		times = fmt.Sprintf("%d times until +%s", r.times, short(time.Duration(r.last).Round(time.Second)))
	}
	return fmt.Sprintf("# not drafted: input %d, %s %s: an access token of before was used, %s; %s", in.ID, in.Method, firstLine(in.Host+in.Path), times, noToken)
}
