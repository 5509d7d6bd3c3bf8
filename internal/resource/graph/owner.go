package graph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/resource"
)

// ownersOf are the owners of what the path names.
func (c *call) ownersOf(p *directory.Principal) *[]string {
	if c.ofApplication() {
		return &p.Graph.Owners
	}
	return &p.Graph.ServicePrincipalOwners
}

// listedOwners are the owners that there are still.
func (c *call) listedOwners() (all []entity, failed *resource.Failure) {
	p, failed := c.readTarget()
	if failed != nil {
		return nil, failed
	}
	owners := graphOf(p).ServicePrincipalOwners
	if c.ofApplication() {
		owners = graphOf(p).Owners
	}
	for _, id := range owners {
		if e := c.object(id); e != nil {
			all = append(all, e)
		}
	}
	return all, nil
}

// readTarget is the application or service principal that the path names, to be read.
func (c *call) readTarget() (*directory.Principal, *resource.Failure) {
	if c.ofApplication() {
		return c.registered()
	}
	return c.principal()
}

func (c *call) owners(all []entity) (resource.Answer, *resource.Failure) {
	return c.list(ownerKind(), "directoryObjects", func(query) objects { return entities(all) })
}

// ownerKind has the properties of service principals, which all owners are here.
func ownerKind() collection {
	k := servicePrincipalKind
	k.kind = objectKind.kind
	return k
}

// referenceKind has an address, and nothing to filter or select by.
var referenceKind = collection{kind: objectKind.kind, prototype: entity{{"@odata.id", ""}}}

// ownerReferences are the owners' addresses.
func (c *call) ownerReferences(all []entity) (resource.Answer, *resource.Failure) {
	references := entities(all)
	references.entity = func(i int) entity {
		return entity{{"@odata.id", "https://" + c.kit.Cloud().Graph + "/v2/" + c.Caller.Tenant + "/directoryObjects/" + references.id(i) + "/Microsoft.DirectoryServices.ServicePrincipal"}}
	}
	return c.list(referenceKind, "Collection($ref)", func(query) objects { return references })
}

// maxOwners is how many owners an application or a service principal has at most.
// Source: entra-docs, identity/users/directory-service-limits-restrictions.md (of applications:
// MicrosoftDocs/azure-docs#1488); that it is the same for service principals is inferred.
const maxOwners = 100

// tooManyOwners is how the directory refuses more values than an object holds.
// Seen: code, text and status in openshift/openshift-azure#1932 (2019, Azure AD Graph), of an
// application's other values; that an owner too many is refused so is inferred.
func tooManyOwners() *resource.Failure {
	return sizeExceeded(fmt.Sprintf("An application and a service principal have %d owners at most.", maxOwners), "Remove an owner first.")
}

// addOwner adds a service principal by reference.
// Seen: the text of what is one already, of owners in azure-cli's custom.py and of members in
// n8n-io/n8n's Microsoft Entra node.
func (c *call) addOwner() (resource.Answer, *resource.Failure) {
	var reference string
	if _, failed := c.taken("@odata.id", &reference); failed != nil {
		return resource.Answer{}, failed
	}
	id, failed := c.referred(reference)
	if failed != nil {
		return resource.Answer{}, failed
	}
	p, failed := c.target()
	if failed != nil {
		return resource.Answer{}, failed
	}
	return c.changed(p, func(p *directory.Principal) *resource.Failure {
		owners := c.ownersOf(p)
		if slices.Contains(*owners, id) {
			return badRequest("One or more added object references already exist for the following modified properties: 'owners'.", "It is an owner already.", "")
		}
		if len(*owners) >= maxOwners {
			return tooManyOwners()
		}
		*owners = append(*owners, id)
		return nil
	}, "has a new owner, %s", id)
}

// referred is the object id of the service principal at an address, such as
// https://graph.microsoft.com/v1.0/directoryObjects/ID.
func (c *call) referred(reference string) (string, *resource.Failure) {
	address := strings.TrimSuffix(reference, "/")
	id := strings.ToLower(address[strings.LastIndexByte(address, '/')+1:])
	if uuid.Validate(id) != nil || !strings.Contains(reference, "/") {
		return "", badRequest(fmt.Sprintf("Invalid URL format specified in @odata.id: '%s'.", reference), "A reference is the address of a directory object.", "Send {\"@odata.id\": \"https://graph.microsoft.com/v1.0/directoryObjects/ID\"}.") // text inferred
	}
	if p, ok := c.kit.Directory.PrincipalByObjectID(c.Caller.Tenant, id); !ok || p.NoServicePrincipal || c.hidden(servicePrincipalSince(p)) {
		failed := notFound(id)
		failed.Meaning = "The tenant has no service principal with this object id, and no users."
		return "", failed
	}
	return id, nil
}

// bindOwners reads owners that are given when an object is made.
func (c *call) bindOwners(body object, owners *[]string) *resource.Failure {
	var references []string
	if failed := body.taken("owners@odata.bind", &references); failed != nil {
		return failed
	}
	for _, reference := range references {
		id, failed := c.referred(reference)
		if failed != nil {
			return failed
		}
		if slices.Contains(*owners, id) {
			continue
		}
		if len(*owners) >= maxOwners {
			return tooManyOwners()
		}
		*owners = append(*owners, id)
	}
	return nil
}

func (c *call) removeOwner(p *directory.Principal) (resource.Answer, *resource.Failure) {
	id := c.Vars["owner"]
	return c.changed(p, func(p *directory.Principal) *resource.Failure {
		owners := c.ownersOf(p)
		i := slices.Index(*owners, id)
		if i < 0 {
			return notFound(id)
		}
		*owners = slices.Delete(*owners, i, i+1)
		return nil
	}, "is not owned by %s any more", id)
}
