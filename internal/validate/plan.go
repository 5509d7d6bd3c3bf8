package validate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/resource/arm/template"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Plan is what code would make: identities, what they trust, and role assignments. It comes from
// terraform show -json, from what-if, or from an ARM template.
type Plan struct {
	identities  []*plannedIdentity
	credentials []*plannedCredential
	assignments []*plannedAssignment
	findings    []Identity // about the code itself
}

// plannedIdentity is an application or managed identity, by what the plan calls it.
type plannedIdentity struct {
	key, place string // key is how the plan's other entries name it, in lower case
	holder     Holder
	deleted    bool
}

// plannedCredential is a federated credential. What is known only when it is made is in unknown.
type plannedCredential struct {
	place, owner string // owner is the key of its identity; "" if the plan does not tell
	made         directory.FederatedCredential
	unknown      []string // issuer, subject or audience
	deleted      bool
	at           *moment // when the deployment of a template makes it; nil if it is not of one
}

type plannedAssignment struct {
	place, principal string
	byClientID       bool // the code names a client id where the object id belongs
}

// Trust is a federated credential as it would be once the plan is carried out.
type Trust struct {
	Change     string `json:"change"` // make, delete
	Place      string `json:"place"`  // in the plan
	Identity   string `json:"identity"`
	Credential string `json:"credential"`
	Issuer     string `json:"issuer"`
	Subject    string `json:"subject"`
	Audience   string `json:"audience"`
}

// knownLater stands for what is known only when it is made.
const knownLater = "(known after apply)"

// ReadPlan reads files, each the output of terraform show -json PLAN, of az deployment … what-if
// --no-pretty-print, or an ARM template. parameters is a file with parameters for templates; if
// empty, those without a default are unknown.
func ReadPlan(names []string, parameters string) (*Plan, error) {
	p := &Plan{}
	for _, name := range names {
		data, err := readFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the plan: %w", err)
		}
		if err := p.read(name, data, parameters); err != nil {
			return nil, err
		}
	}
	if len(p.identities)+len(p.credentials)+len(p.assignments) == 0 {
		return nil, yamlfile.Problems{{File: strings.Join(names, ", "), Expected: "identities, federated credentials or role assignments", Found: "none", Fix: "name the plan of the code that makes them"}}
	}
	return p, nil
}

// read reads one file, and tells by its members what it is.
func (p *Plan) read(name string, data []byte, parameters string) error {
	o, err := template.ParseObject(data)
	if err != nil {
		return yamlfile.Problems{{File: name, Expected: "the JSON of terraform show -json, of what-if or of a template", Found: err.Error(), Fix: "terraform show -json PLAN; az deployment group what-if --no-pretty-print -o json; bicep build"}}
	}
	switch {
	case o.Get("resource_changes") != nil || o.Get("planned_values") != nil:
		return p.terraform(name, o)
	case o.Get("changes") != nil || o.Object("properties").Get("changes") != nil:
		return p.whatIf(name, o)
	case strings.Contains(strings.ToLower(o.Text("$schema")), "deploymenttemplate.json"):
		return p.template(name, o, parameters)
	}
	return yamlfile.Problems{{File: name, Expected: "resource_changes of terraform show -json, changes of what-if, or $schema of a template", Found: fmt.Sprintf("the members %s", strings.Join(o.Names()[:min(5, o.Len())], ", ")), Fix: "a plan of Terraform is binary until terraform show -json prints it"}}
}

// Apply changes a directory as carrying out the plan would. If the directory has no holders, it then
// has those of the plan alone.
func (d *Directory) Apply(p *Plan) {
	alone := len(d.Holders) == 0
	d.plan = p
	owners := map[string]*Holder{}
	// What is replaced is deleted and made. Whatever the order in the plan, what is made remains.
	slices.SortStableFunc(p.identities, func(a, b *plannedIdentity) int { return deletedFirst(a.deleted, b.deleted) })
	slices.SortStableFunc(p.credentials, func(a, b *plannedCredential) int { return deletedFirst(a.deleted, b.deleted) })
	for _, i := range p.identities {
		h := d.same(i)
		switch {
		case i.deleted:
			d.Holders = slices.DeleteFunc(d.Holders, func(o *Holder) bool { return o == h })
			h = cmp.Or(h, &i.holder)
			d.deleted = append(d.deleted, h)
		case h == nil:
			h = &i.holder
			h.Place, h.Known = i.place, alone || h.ClientID == ""
			d.Holders = append(d.Holders, h)
		}
		owners[i.key] = h
	}
	for _, c := range p.credentials {
		h := owners[c.owner]
		if h == nil {
			if h = cmp.Or(d.ofResource(c.owner), d.ofObject(c.owner)); h == nil {
				h = &Holder{Name: cmp.Or(c.owner, "an identity that the plan does not name"), Place: c.place, Known: true}
				if strings.Contains(c.owner, identityPath) {
					h.ResourceID, h.Name = c.owner, c.owner[strings.LastIndexByte(c.owner, '/')+1:]
				}
				d.Holders = append(d.Holders, h)
			}
			if c.owner != "" {
				owners[c.owner] = h
			}
		}
		h.apply(c)
	}
	d.Trusts = p.trusts(owners)
	for _, a := range p.assignments {
		p.principal(d, a)
	}
}

func deletedFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// same is the holder of the directory that the plan means.
func (d *Directory) same(i *plannedIdentity) *Holder {
	for _, h := range d.Holders {
		if i.holder.ClientID != "" && strings.EqualFold(h.ClientID, i.holder.ClientID) {
			return h
		}
	}
	return d.ofResource(i.holder.ResourceID)
}

// ofResource is the managed identity of a resource id. Of a template it is known in which group
// and subscription it will be only when it is deployed: the name has to do.
func (d *Directory) ofResource(id string) *Holder {
	if id == "" {
		return nil
	}
	var named *Holder
	for _, h := range d.Holders {
		if strings.EqualFold(h.ResourceID, id) {
			return h
		}
		if strings.HasPrefix(strings.ToLower(id), strings.ToLower(assumedScope)) && strings.EqualFold(h.ResourceID[strings.LastIndexByte(h.ResourceID, '/')+1:], id[strings.LastIndexByte(id, '/')+1:]) {
			named = h
		}
	}
	return named
}

// ofObject is the application with an object id, which is written alone or as /applications/ID.
func (d *Directory) ofObject(id string) *Holder {
	id = id[strings.LastIndexByte(id, '/')+1:]
	for _, h := range d.Holders {
		if id != "" && slices.ContainsFunc(h.ObjectIDs, func(o string) bool { return strings.EqualFold(o, id) }) {
			return h
		}
	}
	return nil
}

func (h *Holder) apply(c *plannedCredential) {
	same := func(f directory.FederatedCredential) bool { return strings.EqualFold(f.Name, c.made.Name) }
	if c.deleted {
		h.Credentials = slices.DeleteFunc(h.Credentials, same)
		return
	}
	if h.Places == nil {
		h.Places = map[string]string{}
	}
	h.Places[strings.ToLower(c.made.Name)] = c.place
	if len(c.unknown) > 0 {
		h.unsettled = append(h.unsettled, c)
		return
	}
	if at := slices.IndexFunc(h.Credentials, same); at >= 0 {
		h.Credentials[at] = c.made
		return
	}
	h.Credentials = append(h.Credentials, c.made)
}

func (p *Plan) trusts(owners map[string]*Holder) []Trust {
	made := []Trust{}
	for _, c := range p.credentials {
		t := Trust{"make", c.place, knownLater, c.made.Name, c.made.Issuer, c.made.Subject, c.made.Audience}
		if c.deleted {
			t.Change = "delete"
		}
		if h := owners[c.owner]; h != nil {
			t.Identity = h.String()
		}
		for _, field := range c.unknown {
			*map[string]*string{"issuer": &t.Issuer, "subject": &t.Subject, "audience": &t.Audience}[field] = knownLater
		}
		made = append(made, t)
	}
	return made
}

// principal finds the client id where the object id belongs, which is the mistake that is made most.
func (p *Plan) principal(d *Directory, a *plannedAssignment) {
	of := ""
	for _, h := range d.Holders {
		if a.principal != "" && strings.EqualFold(h.ClientID, a.principal) {
			of = ": it is the client id of " + h.String()
		}
	}
	if of == "" && !a.byClientID {
		return
	}
	p.findings = append(p.findings, Identity{Name: a.place, Findings: []Finding{{
		Severity: Error, Kind: RoleAssignment, Text: "the role is assigned to a client id, where the object id of the service principal belongs" + of + ": nobody gets the role",
		Fix: "name the principal id: principal_id of azurerm_user_assigned_identity, object_id of azuread_service_principal, properties.principalId in a template",
	}}})
}

// concurrent finds federated credentials of one identity that a template has written at the same
// time, which Azure refuses. Terraform's provider writes them one after the other. Each of made is
// behind those that are made before it.
func (p *Plan) concurrent(made []*plannedCredential) {
	of := map[string][]*plannedCredential{}
	for _, c := range made {
		if earlier := of[c.owner]; len(earlier) > 0 {
			before := c.at.before()
			if n := slices.IndexFunc(earlier, func(o *plannedCredential) bool { return !before[o.at] }); n >= 0 {
				p.findings = append(p.findings, Identity{Name: c.place, Findings: []Finding{{
					Severity: Error, Kind: Concurrent, Text: fmt.Sprintf("it is written at the same time as %s, of the same managed identity: Azure refuses one of them with 409 ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity", earlier[n].place),
					Fix: "let one depend on the other (dependsOn), or write @batchSize(1) above the loop",
				}}})
			}
		}
		of[c.owner] = append(of[c.owner], c)
	}
}

// madeByPlan looks among the identities that the plan makes, whose client ids are not known, for one
// that trusts a workload, or nearly does.
func (c *check) madeByPlan(w Workload, v *Verdict) bool {
	if c.deleted(w.ClientID) != nil { // what is made will have another client id
		return false
	}
	var near *journal.Nearest
	var of, nearOf *Holder
	for _, issuer := range c.issuersOf(w) {
		row := workload.Trust([]workload.Workload{w.Workload}, []string{issuer}, c.audience)[0]
		row.Audience = cmp.Or(w.Audience, row.Audience)
		for _, h := range c.directory.Holders {
			if h.ClientID != "" {
				continue
			}
			for _, f := range h.Credentials {
				if f.Issuer == row.Issuer && f.Subject == row.Subject && f.Audience == row.Audience {
					v.Trusted = append(v.Trusted, Trusted{issuer, f.Name})
					of = h
				}
			}
			if n := entra.Nearest(h.Credentials, row.Issuer, row.Subject, row.Audience); n != nil && near == nil && (isSlip(n) || len(n.Differences) == 1) && len(n.Differences) > 0 {
				near, nearOf, of = n, h, cmp.Or(of, h)
			}
			if f := h.later(row.Subject); f != nil {
				v.Findings, of = append(v.Findings, *f), cmp.Or(of, h)
			}
		}
	}
	switch {
	case of == nil:
		return false
	case len(v.Trusted) == 0 && near != nil:
		f := Finding{
			Severity: Error, Kind: Kind(near.Differences[0].Field), Credential: near.Credential, Differences: near.Differences,
			Text: fmt.Sprintf("%s, which the plan makes, would not trust it", nearOf), Fix: "mend it in " + nearOf.placeOf(near.Credential),
		}
		of = nearOf
		c.mended[of] = append(c.mended[of], near.Credential)
		v.Findings = append(v.Findings, f)
	}
	v.Findings = append(v.Findings, Finding{
		Severity: Warning, Kind: KnownAfterApply, Text: fmt.Sprintf("the directory has no identity with client id %s; %s is made by the plan (%s), and its client id is known only then", w.ClientID, of, of.Place),
		Fix: "write its client id once it is made, or have the code write it",
	})
	return true
}

// later is the finding that a federated credential may trust a subject, and is not known in full
// before it is made; nil if there is none.
func (h *Holder) later(subject string) *Finding {
	for _, u := range h.unsettled {
		if u.made.Subject == subject || slices.Contains(u.unknown, "subject") {
			return &Finding{Severity: Warning, Kind: KnownAfterApply, Credential: u.made.Name, Text: fmt.Sprintf("%s is not known in full before it is made (%s): whether it trusts this workload was not checked", u.place, strings.Join(u.unknown, ", "))}
		}
	}
	return nil
}

// placeOf is where in the plan a federated credential is.
func (h *Holder) placeOf(name string) string {
	return cmp.Or(h.Places[strings.ToLower(name)], h.Place)
}
