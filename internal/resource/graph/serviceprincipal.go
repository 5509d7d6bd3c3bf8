package graph

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/tenants"
)

// createServicePrincipal makes that of an application of the tenant.
// Source: hashicorp/terraform-provider-azuread's report in
// Azure/reliable-web-app-pattern-java#185 (2023-08: 409 for one that is there already);
// kubernetes-retired/kubernetes-anywhere#248 (an application that there is not, in the words of
// Graph's predecessor, which azure-cli looks for still); that with Application.ReadWrite.OwnedBy the
// answer is 403: azure-cli, src/azure-cli/azure/cli/command_modules/role/custom.py.
func (c *call) createServicePrincipal() (resource.Answer, *resource.Failure) {
	var appID string
	body, failed := c.taken("appId", &appID)
	if failed != nil {
		return resource.Answer{}, failed
	}
	if appID == "" {
		return resource.Answer{}, badRequest("A value is required for property 'appId' of resource 'ServicePrincipal'.", "A service principal is that of an application.", "")
	}
	c.making.Lock()
	defer c.making.Unlock()
	p, ok := c.kit.Directory.Principal(c.Caller.Tenant, appID)
	if ok && p.Kind == directory.Application && c.hidden(p.CreatedAt) {
		ok = false
	}
	switch {
	case (!ok || p.Kind != directory.Application) && appID == c.kit.Resource.AppID, ok && !p.NoServicePrincipal:
		return resource.Answer{}, resource.Fail(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue", fmt.Sprintf("The service principal cannot be created, updated, or restored because the service principal name %s is already in use.", appID),
			"The application has its service principal.", "Use the one that there is: servicePrincipals(appId='…').")
	case !ok || p.Kind != directory.Application:
		return resource.Answer{}, c.noApplication(appID)
	}
	if c.ownOnly() && !slices.Contains(graphOf(p).Owners, c.Caller.ObjectID) {
		return resource.Answer{}, c.may(p)
	}
	changed, failed := c.update(p, func(p *directory.Principal) *resource.Failure {
		p.NoServicePrincipal = false
		p.Graph.ServicePrincipalCreatedAt = c.kit.Clock.Now()
		p.Graph.ServicePrincipalOwners = nil
		p.Graph.Made++
		p.ObjectID = tenants.StableID("service principal", p.ClientID, strconv.Itoa(p.Graph.Made))
		if c.ownOnly() {
			p.Graph.ServicePrincipalOwners = []string{c.Caller.ObjectID}
		}
		if failed := c.bindOwners(body, &p.Graph.ServicePrincipalOwners); failed != nil {
			return failed
		}
		return c.writeServicePrincipal(body, p)
	})
	if failed != nil {
		return resource.Answer{}, failed
	}
	c.record(changed, "has a service principal now, object id %s: it can get tokens and be given roles", changed.ObjectID)
	return c.created("servicePrincipals", "directoryObjects/"+changed.ObjectID+"/Microsoft.DirectoryServices.ServicePrincipal", servicePrincipalEntity(c.Caller.Tenant, changed)), nil
}

// noApplication refuses to make the service principal of an application that there is not.
func (c *call) noApplication(appID string) *resource.Failure {
	const meaning = "The tenant has no application with this client id."
	if c.ownOnly() {
		return resource.Fail(http.StatusForbidden, "Authorization_RequestDenied", "When using this permission, the backing application of the service principal being created must in the local tenant", meaning, "Create the application first, or wait until it is found.")
	}
	return badRequest(fmt.Sprintf("The appId '%s' of the service principal does not reference a valid application object.", appID), meaning, "Create the application first, or wait until it is found.")
}

func (c *call) patchServicePrincipal(body object) (resource.Answer, *resource.Failure) {
	p, failed := c.target()
	if failed != nil {
		return resource.Answer{}, failed
	}
	return c.changed(p, func(p *directory.Principal) *resource.Failure { return c.writeServicePrincipal(body, p) }, "has its service principal changed")
}

// deleteServicePrincipal takes an application's ability to get tokens; the registration stays. One
// of a managed identity goes with its resource in Azure Resource Manager.
func (c *call) deleteServicePrincipal(p *directory.Principal) (resource.Answer, *resource.Failure) {
	if p.Kind == directory.ManagedIdentity { // text inferred
		return resource.Answer{}, badRequest("Cannot delete the service principal of a managed identity.", "The service principal of a managed identity is deleted with its Azure resource.", "Delete the managed identity in Azure Resource Manager.")
	}
	c.making.Lock()
	defer c.making.Unlock()
	c.forget(p.ClientID)
	return c.changed(p, func(p *directory.Principal) *resource.Failure {
		p.NoServicePrincipal, p.Disabled, p.AssignmentRequired, p.AppRoles = true, false, false, nil
		p.Graph.Assigned, p.Graph.ServicePrincipal, p.Graph.ServicePrincipalOwners = nil, nil, nil
		p.Secrets = slices.DeleteFunc(p.Secrets, func(s directory.Secret) bool { return s.OfServicePrincipal })
		p.Certificates = slices.DeleteFunc(p.Certificates, func(c directory.Certificate) bool { return c.OfServicePrincipal })
		return nil
	}, "has its service principal deleted: it gets no tokens, and has no roles")
}

// writeServicePrincipal changes a service principal as a body says.
func (c *call) writeServicePrincipal(body object, p *directory.Principal) *resource.Failure {
	enabled := !p.Disabled
	var passedOver any
	failed := body.taken("accountEnabled", &enabled, "appRoleAssignmentRequired", &p.AssignmentRequired, "appId", &passedOver, "displayName", &passedOver, "servicePrincipalNames", &passedOver, "servicePrincipalType", &passedOver)
	if failed != nil {
		return failed
	}
	p.Disabled = !enabled
	if failed := c.writeKeyCredentials(body, p, true); failed != nil {
		return failed
	}
	if failed := writePasswordCredentials(body, p, true); failed != nil {
		return failed
	}
	written, failed := body.write(p.Graph.ServicePrincipal, servicePrincipalMembers)
	p.Graph.ServicePrincipal = written
	return failed
}
