// Package deployments is the type deployments of the resource provider Microsoft.Resources: ARM
// templates that are deployed to a resource group or a subscription, validated and compared with
// what there is. Every resource is made by a request in the name of who deploys, so that it needs
// the roles, is refused and is journaled as if it had been asked for alone. What templates mean is
// in package template.
//
// Source of requests and answers: azure-cli, src/azure-cli/azure/cli/command_modules/resource/tests/
// latest/recordings (test_group_deployment.yaml of 2020-02 and test_group_deployment_lite.yaml of
// 2020-07), unless another one stands beside it.
package deployments

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	"github.com/wiemu/wiemu/internal/resource/arm/template"
)

const (
	namespace = "Microsoft.Resources"
	kind      = namespace + "/deployments"

	// Path is what the paths of deployments have, in lower case.
	Path = "/providers/microsoft.resources/deployments/"
)

// The api-versions of the type.
// Source: azure-rest-api-specs, specification/resources/resource-manager/Microsoft.Resources/
// (deployments/)stable; 2014-04-01-preview and 2015-11-01 are left out.
var versions = strings.Fields("2016-02-01 2016-07-01 2016-09-01 2017-05-10 2018-02-01 2018-05-01 2019-03-01 2019-05-01 2019-05-10 2019-07-01 2019-08-01 2019-10-01 2020-06-01 2020-08-01 2020-10-01 2021-01-01 2021-04-01 2022-09-01 2022-12-01 2023-07-01 2024-03-01 2024-07-01 2024-11-01 2025-03-01 2025-04-01")

type service struct {
	*rest.Manager
	providers func() []rest.Provider
	count     atomic.Int64 // of operations, which have numbers
}

// New returns the provider. providers are all of Resource Manager's, this one included.
func New(m *rest.Manager, providers func() []rest.Provider) rest.Provider {
	s := &service{Manager: m, providers: providers}
	p := rest.Provider{Namespace: namespace, Types: []rest.ResourceType{{Name: "deployments", Versions: versions, Global: true}}, Delete: s.forget, Open: s.open}
	for _, scope := range []string{"/subscriptions/{subscription}", "/subscriptions/{subscription}/resourcegroups/{group}"} {
		all := scope + "/providers/microsoft.resources/deployments"
		one := all + "/{deployment}"
		for _, o := range []rest.Operation{
			{Methods: []string{http.MethodGet}, Path: all, Verb: "list deployments", Action: "read", Serve: rest.On(scopeOf, s.list)},
			{Methods: []string{http.MethodGet}, Path: all + "/", Verb: "list deployments", Action: "read", Serve: rest.On(scopeOf, s.list)}, // SDKs write the slash
			{Methods: []string{http.MethodGet}, Path: one, Verb: "get deployment", Action: "read", Serve: rest.On(s.found, s.get)},
			{Methods: []string{http.MethodHead}, Path: one, Verb: "see whether a deployment exists", Action: "read", Serve: s.exists},
			{Methods: []string{http.MethodPut}, Path: one, Verb: "deploy template", Action: "write", Composed: true, Serve: rest.On(s.read, s.put)},
			{Methods: []string{http.MethodDelete}, Path: one, Verb: "delete deployment", Action: "delete", Serve: s.delete},
			{Methods: []string{http.MethodPost}, Path: one + "/validate", Verb: "validate template", Action: "validate/action", Composed: true, Serve: rest.On(s.read, s.validate)},
			{Methods: []string{http.MethodPost}, Path: one + "/whatif", Verb: "see what a template would change", Action: "whatIf/action", Composed: true, Serve: rest.On(s.read, s.whatIf)},
			{Methods: []string{http.MethodPost}, Path: one + "/exporttemplate", Verb: "export the template of a deployment", Action: "exportTemplate/action", Serve: rest.On(s.found, s.export)},
			{Methods: []string{http.MethodPost}, Path: one + "/cancel", Verb: "cancel deployment", Action: "cancel/action", Serve: rest.On(s.found, s.cancel)},
			{Methods: []string{http.MethodGet}, Path: one + "/operations", Verb: "list the operations of a deployment", Action: "operations/read", Serve: rest.On(s.found, s.listOperations)},
			{Methods: []string{http.MethodGet}, Path: one + "/operations/{operation}", Verb: "get an operation of a deployment", Action: "operations/read", Serve: rest.On(s.found, s.getOperation)},
			{Methods: []string{http.MethodGet}, Path: one + "/operationstatuses/{operation}", Verb: "see whether a deployment is done", Action: "operationStatuses/read", Serve: rest.On(s.found, s.status)},
		} {
			o.Action, o.Versions = kind+"/"+o.Action, versions
			p.Operations = append(p.Operations, o)
		}
	}
	const older = "/subscriptions/{subscription}/resourcegroups/{group}/deployments/{deployment}/operations" // what SDKs ask for: azure-rest-api-specs, DeploymentOperations_List
	for path, serve := range map[string]func(*rest.Call) (rest.Reply, *resource.Failure){older: rest.On(s.found, s.listOperations), older + "/{operation}": rest.On(s.found, s.getOperation)} {
		p.Operations = append(p.Operations, rest.Operation{Methods: []string{http.MethodGet}, Path: path, Verb: "list the operations of a deployment", Action: kind + "/operations/read", Serve: serve})
	}
	return p
}

// forget drops the deployments to a resource group that is deleted.
func (s *service) forget(_, group string) error {
	var ids []string
	ended, begun := s.Deployments()
	for _, d := range append(ended, begun...) {
		if strings.EqualFold(d.Scope, group) {
			ids = append(ids, d.ID)
		}
	}
	return s.ForgetDeployments(ids, true)
}

// open makes of the deployments that were under way when an earlier process ended what has failed:
// who deployed is not there any more, and its token is kept nowhere. Azure would go on.
func (s *service) open() error {
	ended, begun := s.Deployments()
	for _, d := range append(ended, begun...) {
		n, _ := strconv.ParseInt(d.Status, 10, 64) // what is no number is that of no operation here
		s.count.Store(max(s.count.Load(), n-firstOperation))
	}
	for _, was := range begun {
		d := *was
		shown, err := template.ParseObject(d.Shown)
		of := shown.Object("properties")
		if err != nil || of == nil {
			return fmt.Errorf("begun: %s: expected a deployment with its properties, found %s", d.ID, d.Shown)
		}
		of.Set("provisioningState", refusedAs)
		of.Set("error", problemOf("DeploymentInterrupted", "wiemu ended while this deployment was under way. What it had made by then is there. Azure would have gone on; deploy it again."))
		if d.Shown, err = shown.MarshalJSON(); err != nil {
			return err
		}
		if err := s.EndDeployment(&d, false); err != nil {
			return err
		}
	}
	return nil
}

// lookup is the deployment that a request's path names; nil if there is none.
func (s *service) lookup(c *rest.Call) *rest.Deployment {
	scope, failed := scopeOf(c)
	if failed != nil {
		return nil
	}
	return s.Deployment(idOf(scope, c.Name("deployment")))
}

// shownAs is what an answer says of a deployment, its properties or an operation.
func shownAs(data []byte) *template.Object {
	shown, _ := template.ParseObject(data) // it was written here
	return shown
}

func idOf(scope, name string) string { return scope + "/providers/" + kind + "/" + name }

// scopeOf is the id of the resource group or the subscription of a request.
func scopeOf(c *rest.Call) (string, *resource.Failure) {
	if c.Vars["group"] == "" {
		return "/subscriptions/" + c.Vars["subscription"], nil
	}
	group, failed := c.Group()
	return group.ID, failed
}

// found is lookup with the refusal of what there is not.
// Source: many logs.
func (s *service) found(c *rest.Call) (*rest.Deployment, *resource.Failure) {
	if _, failed := scopeOf(c); failed != nil {
		return nil, failed
	}
	if d := s.lookup(c); d != nil {
		return d, nil
	}
	return nil, resource.Fail(http.StatusNotFound, "DeploymentNotFound", fmt.Sprintf("Deployment '%s' could not be found.", c.Name("deployment")), "There is no such deployment on the scope, or it was one of the oldest of a long history. What was deployed before wiemu was started is known to a server with -state alone.", "")
}

func (s *service) list(c *rest.Call, scope string) (rest.Reply, *resource.Failure) {
	var all []any
	ended, _ := s.Deployments()
	for _, d := range slices.Backward(ended) {
		if strings.EqualFold(d.Scope, scope) {
			all = append(all, d.Shown)
		}
	}
	return rest.PageOf(c, all)
}

func (s *service) get(_ *rest.Call, d *rest.Deployment) (rest.Reply, *resource.Failure) {
	return rest.Reply{Body: d.Shown}, nil
}

func (s *service) exists(c *rest.Call) (rest.Reply, *resource.Failure) {
	_, failed := s.found(c)
	return rest.Reply{Status: http.StatusNoContent}, failed
}

// delete forgets a deployment; what it made stays. It is done when it answers.
// Source: azure-rest-api-specs, Deployments_Delete (202 with Location, 204 if there is none).
func (s *service) delete(c *rest.Call) (rest.Reply, *resource.Failure) {
	d := s.lookup(c)
	if d == nil {
		return rest.Reply{Status: http.StatusNoContent}, nil
	}
	if err := s.ForgetDeployments([]string{d.ID}, false); err != nil {
		return rest.Reply{}, rest.NotStored(err)
	}
	at := fmt.Sprintf("https://%s/subscriptions/%s/operationresults/%s?api-version=%s", c.Host, c.Vars["subscription"], "DELETEDEPLOYMENT-"+strings.ToUpper(uuid.NewString()), c.Query("api-version"))
	return rest.Reply{Status: http.StatusAccepted, Header: map[string]string{"Location": at, "Retry-After": "1"}}, nil
}

func (s *service) export(_ *rest.Call, d *rest.Deployment) (rest.Reply, *resource.Failure) {
	return rest.Reply{Body: map[string]any{"template": d.Template}}, nil
}

// cancel is refused: a deployment is done when its PUT is answered. The text is that of many logs.
func (s *service) cancel(c *rest.Call, d *rest.Deployment) (rest.Reply, *resource.Failure) {
	return rest.Reply{}, resource.Fail(http.StatusConflict, "DeploymentCannotBeCancelled", fmt.Sprintf("The deployment '%s' cannot be cancelled because it is in state '%s'.", c.Name("deployment"), shownAs(d.Shown).Object("properties").Text("provisioningState")), "A deployment takes no time here, so that it is always done.", "")
}

func (s *service) listOperations(c *rest.Call, d *rest.Deployment) (rest.Reply, *resource.Failure) {
	var all []any
	for _, o := range d.Operations {
		all = append(all, o)
	}
	return rest.PageOf(c, all)
}

func (s *service) getOperation(c *rest.Call, d *rest.Deployment) (rest.Reply, *resource.Failure) {
	for _, data := range d.Operations {
		o := shownAs(data)
		if strings.EqualFold(o.Text("operationId"), c.Name("operation")) {
			return rest.Reply{Body: o}, nil
		}
	}
	return rest.Reply{}, resource.Fail(http.StatusNotFound, "DeploymentOperationNotFound", fmt.Sprintf("The deployment operation '%s' could not be found.", c.Name("operation")), "The deployment has no such operation.", "") // text inferred
}

// status is what Azure-AsyncOperation leads to.
func (s *service) status(c *rest.Call, d *rest.Deployment) (rest.Reply, *resource.Failure) {
	if d.Status != c.Vars["operation"] {
		return rest.Reply{}, resource.Fail(http.StatusNotFound, "DeploymentOperationStatusNotFound", fmt.Sprintf("The deployment operation status '%s' could not be found.", c.Vars["operation"]), "Another deployment of this name came later.", "") // text inferred
	}
	of := shownAs(d.Shown).Object("properties")
	answer := template.NewObject("status", of.Text("provisioningState"))
	if problem := of.Object("error"); problem != nil {
		answer.Set("error", problem)
	}
	return rest.Reply{Body: answer}, nil
}

var deploymentName = lazyregexp.New(`^[-\w.()]{1,64}$`)

// checkName refuses what is no name of a deployment. The text is that of many logs, as is the rule:
// 1 to 64 letters, digits, -, _, ( ) and periods.
func checkName(name string) *resource.Failure {
	if deploymentName().MatchString(name) {
		return nil
	}
	if len(name) > 64 {
		return rest.BadRequest("InvalidDeploymentName", fmt.Sprintf("The provided deployment name '%s' has a length of '%d' which exceeds the maximum length of '64'.", name, len(name)), "The name of a deployment is too long.")
	}
	return rest.BadRequest("InvalidDeploymentName", fmt.Sprintf("The provided deployment name '%s' has these invalid characters: '%s'. The name can only be a letter, digit, '-', '.' or '_'.", name, invalidCharacters().FindString(name)), "The name of a deployment has a character that Azure does not take.")
}

var invalidCharacters = lazyregexp.New(`[^-\w.()]`)
