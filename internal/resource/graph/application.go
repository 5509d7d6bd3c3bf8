package graph

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/tenants"
)

func (c *call) createApplication(body object) (resource.Answer, *resource.Failure) {
	return c.register(body, "")
}

// register makes an app registration. uniqueName is that of the path, "" if it has none.
func (c *call) register(body object, uniqueName string) (resource.Answer, *resource.Failure) {
	c.making.Lock()
	defer c.making.Unlock()
	name := ""
	if failed := body.peek("displayName", &name); failed != nil {
		return resource.Answer{}, failed
	}
	p := directory.Principal{
		Kind: directory.Application, ClientID: c.kit.Directory.NewClientID(c.Caller.Tenant, "application", name), DisplayName: name,
		CreatedAt: c.kit.Clock.Now(), OwnTrust: true, NoServicePrincipal: true, Graph: &directory.GraphObject{UniqueName: uniqueName},
	}
	p.ObjectID = tenants.StableID("service principal", p.ClientID)
	p.ApplicationObjectID = tenants.StableID("application", p.ClientID)
	if c.ownOnly() { // the caller owns what it makes; with other permissions it does not
		p.Graph.Owners = []string{c.Caller.ObjectID}
	}
	if failed := c.bindOwners(body, &p.Graph.Owners); failed != nil {
		return resource.Answer{}, failed
	}
	if failed := c.firstPasswords(body, &p); failed != nil {
		return resource.Answer{}, failed
	}
	if failed := c.writeApplication(body, &p, true); failed != nil {
		return resource.Answer{}, failed
	}
	if failed := tooLarge(&p); failed != nil {
		return resource.Answer{}, failed
	}
	if err := c.kit.Directory.Put(c.Caller.Tenant, p); err != nil {
		return resource.Answer{}, c.refused(err, &p)
	}
	made, _ := c.kit.Directory.Principal(c.Caller.Tenant, p.ClientID)
	c.record(made, "is registered now: an application that has no service principal yet and trusts nobody")
	shown, passwords := c.applicationEntity(made), []entity{}
	for _, s := range made.Secrets {
		passwords = append(passwords, passwordCredential(s, s.Value))
	}
	shown.set("passwordCredentials", passwords) // with their texts, this once
	return c.created("applications", "directoryObjects/"+made.ApplicationObjectID+"/Microsoft.DirectoryServices.Application", shown), nil
}

// firstPasswords makes the passwords that an application is created with.
// Source: hashicorp/terraform-provider-azuread, internal/services/applications/
// application_resource.go, which takes secretText from the answer.
func (c *call) firstPasswords(body object, p *directory.Principal) *resource.Failure {
	var wanted []wantedPassword
	if failed := body.taken("passwordCredentials", &wanted); failed != nil {
		return failed
	}
	if len(wanted) > maxEntries {
		return tooMany(len(wanted), "passwords", maxEntries)
	}
	for _, one := range wanted {
		made, failed := c.password(one)
		if failed != nil {
			return failed
		}
		made.ID = next(p, "password")
		p.Secrets = append(p.Secrets, made)
	}
	return nil
}

func (c *call) patchApplication(body object) (resource.Answer, *resource.Failure) {
	p, failed := c.target()
	if failed != nil && failed.Status == http.StatusNotFound && c.upserting() {
		if key, keyed := c.key("at", 1); keyed {
			if property, value, ok := alternateKey(key); ok && property == "uniquename" {
				return c.register(body, value)
			}
		}
	}
	if failed != nil {
		return resource.Answer{}, failed
	}
	return c.changed(p, func(p *directory.Principal) *resource.Failure { return c.writeApplication(body, p, false) }, "has its registration changed")
}

// deleteApplication deletes an app registration with its service principal and all credentials.
// It stays among the deleted items for thirty days.
// Source: entra-docs, docs/identity-platform/howto-remove-app.md.
func (c *call) deleteApplication(p *directory.Principal) (resource.Answer, *resource.Failure) {
	if err := c.deleted.add(c.Caller.Tenant, *p, c.kit.Clock.Now()); err != nil {
		return resource.Answer{}, c.refused(err, p)
	}
	if err := c.kit.Directory.Remove(c.Caller.Tenant, p.ClientID); err != nil {
		return resource.Answer{}, c.refused(err, p)
	}
	c.forget(p.ClientID)
	c.record(p, "is deleted with its service principal: new exchanges are refused, access tokens that were given out live on")
	return noContent(), nil
}

// writeApplication changes a registration as a body says.
func (c *call) writeApplication(body object, p *directory.Principal, isNew bool) *resource.Failure {
	if failed := c.writeNames(body, p, isNew); failed != nil {
		return failed
	}
	if failed := writeAppRoles(body, p); failed != nil {
		return failed
	}
	if failed := c.writeKeyCredentials(body, p, false); failed != nil {
		return failed
	}
	if !isNew {
		if failed := writePasswordCredentials(body, p, false); failed != nil {
			return failed
		}
	}
	if api, there := body["api"]; there {
		version, failed := tokenVersion(api)
		if failed != nil {
			return failed
		}
		if version >= 0 {
			p.AccessTokenVersion = version
		}
	}
	if _, there := body[fallbackPublicClient]; there {
		var public bool // null is false
		if failed := body.peek(fallbackPublicClient, &public); failed != nil {
			return failed
		}
		p.PublicClient = public
	}
	members := applicationMembers
	if c.beta() {
		members = append(slices.Clone(members), requirePostResponse)
	}
	written, failed := body.write(p.Graph.Application, members)
	p.Graph.Application = written
	return failed
}

// writeNames reads what an application is called by.
// Seen: the text about a required value, for users and groups in many logs.
func (c *call) writeNames(body object, p *directory.Principal, isNew bool) *resource.Failure {
	name, unique := p.DisplayName, p.Graph.UniqueName
	var uris []string
	named, failed := body.take("displayName", &name)
	if failed != nil {
		return failed
	}
	if isNew && !named || name == "" {
		return badRequest("A value is required for property 'displayName' of resource 'Application'.", "An application has a display name.", "")
	}
	if failed := body.taken("uniqueName", &unique); failed != nil {
		return failed
	}
	if p.Graph.UniqueName != "" && unique != p.Graph.UniqueName {
		return badRequest("Property 'uniqueName' is immutable and cannot be changed.", "The unique name of an application stays.", "") // text inferred
	}
	p.DisplayName, p.Graph.UniqueName = name, unique
	given, failed := body.take("identifierUris", &uris)
	if failed != nil {
		return failed
	}
	if given {
		for _, uri := range uris {
			if failed := c.verified(uri); failed != nil {
				return failed
			}
		}
		p.IdentifierURIs = uris
	}
	return nil
}

// verified refuses an identifier URI with a host that is not the tenant's.
// Source: Azure/Industrial-IoT#1432 (2021-10), for http and https alike. The default policy of tenants since
// 2025, by which api:// URIs have to have the id of the tenant or application, is not applied.
func (c *call) verified(uri string) *resource.Failure {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil
	}
	t, _ := c.kit.Directory.Tenant(c.Caller.Tenant)
	for _, domain := range t.Domains {
		if u.Hostname() == domain || strings.HasSuffix(u.Hostname(), "."+domain) {
			return nil
		}
	}
	return resource.Fail(http.StatusBadRequest, "HostNameNotOnVerifiedDomain", fmt.Sprintf("Values of identifierUris property must use a verified domain of the organization or its subdomain: '%s'", uri),
		"The host of the URI is not below one of the tenant's domains.", "Use api://CLIENT-ID, or a domain of the tenant.")
}

// tokenVersion is requestedAccessTokenVersion of api; -1 if it is not there.
func tokenVersion(api []byte) (int, *resource.Failure) {
	read, err := parseObject(api)
	if err != nil {
		return -1, nil // null, or what body.write refuses
	}
	version := 0
	there, failed := read.take("requestedAccessTokenVersion", &version)
	switch {
	case failed != nil:
		return -1, failed
	case !there:
		return -1, nil
	case version < 0 || version > 2:
		return -1, badRequest("Invalid value specified for property 'requestedAccessTokenVersion' of resource 'Application'.", "Access tokens are of version 1 or 2.", "")
	}
	return version, nil
}

// writeAppRoles replaces the app roles.
// Source of the code about an enabled one: OfficeDev/microsoft-365-agents-toolkit
// (aadErrorCode.permissionErrorCode); of its text: manicminer/hamilton, odata/errors.go. The other
// texts are inferred.
func writeAppRoles(body object, p *directory.Principal) *resource.Failure {
	var roles []struct {
		ID                 guid     `json:"id"`
		Value              *string  `json:"value"`
		DisplayName        string   `json:"displayName"`
		Description        string   `json:"description"`
		AllowedMemberTypes []string `json:"allowedMemberTypes"`
		Enabled            *bool    `json:"isEnabled"`
	}
	given, failed := body.take("appRoles", &roles)
	if failed != nil || !given {
		return failed
	}
	var wanted []directory.AppRole
	for _, r := range roles {
		if r.ID == "" || r.DisplayName == "" || len(r.AllowedMemberTypes) == 0 {
			return badRequest("One or more properties contains invalid values.", "An app role has id, displayName and allowedMemberTypes.", "")
		}
		made := directory.AppRole{ID: string(r.ID), DisplayName: r.DisplayName, Description: r.Description, AllowedMemberTypes: r.AllowedMemberTypes, Enabled: r.Enabled == nil || *r.Enabled}
		if r.Value != nil {
			made.Value = *r.Value
		}
		if slices.ContainsFunc(wanted, func(other directory.AppRole) bool {
			return other.ID == made.ID || other.Value == made.Value && made.Value != ""
		}) {
			return badRequest("It contains duplicate value. Please provide unique value.", "Two app roles have the same id or value: "+made.ID+" "+made.Value+".", "")
		}
		wanted = append(wanted, made)
	}
	for _, old := range p.Graph.AppRoles {
		if old.Enabled && !slices.ContainsFunc(wanted, func(r directory.AppRole) bool { return r.ID == old.ID }) {
			return resource.Fail(http.StatusBadRequest, "CannotDeleteOrUpdateEnabledEntitlement", "Permission (scope or role) cannot be deleted or updated unless disabled first.",
				"The app role "+old.DisplayName+" is enabled.", "Set its isEnabled to false, then remove it.")
		}
	}
	p.Graph.AppRoles = wanted
	return nil
}
