package directory

// tenant is one tenant with the indexes of its principals. What writes it holds
// the directory's mu.
type tenant struct {
	info  Tenant // Principals is nil
	order []*entry

	byClient      map[string]*entry
	byObject      map[string]*entry // service principals
	byApplication map[string]*entry // app registrations
	byURI         map[string]*entry // identifier URIs in lower case
}

// entry keeps a principal's place in the order while its value is replaced.
type entry struct {
	principal *Principal
	changes   []change // of its federated credentials, oldest first
}

func newTenant(given Tenant) *tenant {
	n := len(given.Principals)
	t := &tenant{
		info:          given,
		order:         make([]*entry, 0, n),
		byClient:      make(map[string]*entry, n),
		byObject:      make(map[string]*entry, n),
		byApplication: make(map[string]*entry, n),
		byURI:         map[string]*entry{},
	}
	t.info.Principals = nil
	if t.info.DisplayName == "" {
		t.info.DisplayName = given.ID
		if len(given.Domains) > 0 {
			t.info.DisplayName = given.Domains[0]
		}
	}
	return t
}

func (t *tenant) principals() []*Principal {
	all := make([]*Principal, len(t.order))
	for i, e := range t.order {
		all[i] = e.principal
	}
	return all
}

// put makes p the value of its entry: the old one's, or a new one at the end.
func (t *tenant) put(p *Principal, e *entry) {
	if e == nil {
		e = &entry{}
		t.order = append(t.order, e)
	} else {
		t.unindex(e.principal)
	}
	e.principal = p
	t.byClient[p.ClientID] = e
	t.byObject[p.ObjectID] = e
	if p.ApplicationObjectID != "" {
		t.byApplication[p.ApplicationObjectID] = e
	}
	for _, uri := range p.IdentifierURIs {
		t.byURI[canonical(uri)] = e
	}
}

func (t *tenant) remove(e *entry) {
	t.unindex(e.principal)
	for i := range t.order {
		if t.order[i] == e {
			t.order = append(t.order[:i], t.order[i+1:]...)
			return
		}
	}
}

func (t *tenant) unindex(p *Principal) {
	delete(t.byClient, p.ClientID)
	delete(t.byObject, p.ObjectID)
	delete(t.byApplication, p.ApplicationObjectID)
	for _, uri := range p.IdentifierURIs {
		delete(t.byURI, canonical(uri))
	}
}

// conflict reports what of p another principal than own has already.
func (t *tenant) conflict(p *Principal, own *entry) error {
	found := &problems{tenant: t.info.ID, principal: p.ClientID}
	taken := func(e *entry, field, value string) {
		if e != nil && e != own {
			found.add(ErrDuplicate, at(field), "one that no other application of the tenant has", value+", which "+e.principal.ClientID+" has")
		}
	}
	taken(t.byObject[p.ObjectID], "objectId", p.ObjectID)
	if p.ApplicationObjectID != "" {
		taken(t.byApplication[p.ApplicationObjectID], "applicationObjectId", p.ApplicationObjectID)
	}
	for _, uri := range p.IdentifierURIs {
		taken(t.byURI[canonical(uri)], "identifierUris", uri)
	}
	return found.err()
}
