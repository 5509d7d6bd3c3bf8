package deployments

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	"github.com/wiemu/wiemu/internal/resource/arm/template"
)

// firstOperation is before the numbers of operations.
const firstOperation = 8584000000000000000

// put deploys a template. It is done when it answers; the answer says that it takes a while, as
// the real one does.
func (s *service) put(c *rest.Call, r *request) (rest.Reply, *resource.Failure) {
	status := http.StatusCreated
	if s.lookup(c) != nil {
		status = http.StatusOK
	}
	run := &run{service: s, call: c, request: r, chain: r.chain, done: map[*template.Resource]string{}}
	made := run.shown("Accepted", nil)
	d, failed := run.begin()
	if failed != nil {
		return rest.Reply{}, failed
	}
	defer s.AbandonDeployment(d)
	run.all()
	if err := run.end(d); err != nil {
		return rest.Reply{}, resource.Fail(http.StatusInternalServerError, "InternalServerError", "Encountered internal server error.", "wiemu made what the template says, as far as it was not refused, but could not keep how the deployment ended: "+err.Error()+".", "See that the state directory can be written, and deploy again.")
	}
	at := fmt.Sprintf("https://%s%s/operationStatuses/%s?api-version=%s", c.Host, d.ID, d.Status, c.Query("api-version"))
	return rest.Reply{Status: status, Body: made, Header: map[string]string{"Azure-Asyncoperation": at}}, nil
}

// begin keeps that the deployment is under way.
// Source of the refusal: microsoft/mwt-ds#29 and microsoft/azure-pipelines-tasks#5320; the status is
// inferred.
func (r *run) begin() (*rest.Deployment, *resource.Failure) {
	d := &rest.Deployment{
		ID: idOf(r.request.scope, r.request.name), Scope: r.request.scope, Location: r.request.location,
		Status: fmt.Sprintf("%020d", firstOperation+r.count.Add(1)),
	}
	var err, failed error
	kept := r.request.template.WithoutGiven()
	if r.request.evaluated {
		kept = r.chain.secrets.Redacted(kept)
	}
	d.Template, err = kept.MarshalJSON()
	d.Shown, failed = r.shown("Running", nil).MarshalJSON()
	var active *rest.Deployment
	if err = cmp.Or(err, failed); err == nil {
		active, err = r.BeginDeployment(d)
	}
	switch {
	case err != nil:
		return nil, rest.NotStored(err)
	case active == nil:
		return d, nil
	}
	const layout = "1/2/2006 3:04:05 PM"
	from, _ := time.Parse(time.RFC3339, shownAs(active.Shown).Object("properties").Text("timestamp")) // it was written here
	return nil, resource.Fail(http.StatusConflict, "DeploymentActive", fmt.Sprintf("Unable to edit or replace deployment '%s': previous deployment from '%s' is still active (expiration time is '%s'). Please see https://aka.ms/arm-deploy for usage details.",
		r.request.name, from.Format(layout), from.AddDate(0, 0, 7).Format(layout)), "A deployment of this name is under way on the scope: another one that runs at the same time, or the one whose template has this one.", "Give each deployment that runs at the same time, and each module, a name of its own.")
}

// end keeps what became of the deployment.
func (r *run) end(was *rest.Deployment) (err error) {
	d := *was
	if d.Shown, err = r.result().MarshalJSON(); err != nil {
		return err
	}
	for _, o := range r.operations {
		data, err := o.MarshalJSON()
		if err != nil {
			return err
		}
		d.Operations = append(d.Operations, data)
	}
	return r.EndDeployment(&d, rest.Chain(r.call.Request.Context()) != nil)
}

// validate answers with what would be deployed.
func (s *service) validate(c *rest.Call, r *request) (rest.Reply, *resource.Failure) {
	run := &run{service: s, call: c, request: r, chain: r.chain}
	var validated []any
	for _, o := range r.plan.Resources {
		if !o.Skipped && !o.Existing {
			validated = append(validated, template.NewObject("id", o.ID))
		}
	}
	if validated == nil {
		validated = []any{}
	}
	return rest.Reply{Body: run.shown("Succeeded", template.NewObject("validatedResources", validated))}, nil
}

// run is one deployment while it is made.
type run struct {
	*service
	call    *rest.Call
	request *request
	chain   *chain

	mu         sync.Mutex
	done       map[*template.Resource]string // state of those that are finished
	operations []*template.Object
	problems   []any // of resources that were refused
	outputs    *template.Object
	failure    *template.Object // of the deployment itself
	removed    []string
}

const (
	succeeded = "Succeeded"
	refusedAs = "Failed"
)

// all makes the resources, each when those that it depends on are made. One whose dependency was
// refused is not made; the others are.
//
// Azure makes those that do not depend on one another at the same time. Here they are made one
// after the other, so that two runs are alike, unless the fault that is about this was injected.
func (r *run) all() {
	waiting := slices.DeleteFunc(slices.Clone(r.request.plan.Resources), func(o *template.Resource) bool {
		if o.Skipped {
			r.done[o] = succeeded
		}
		return o.Skipped
	})
	atOnce := slices.ContainsFunc(r.Kit.Faults.Active(), func(f fault.Active) bool { return f.Name == faultkind.ConcurrentWrites && !f.Spent })
	for len(waiting) > 0 {
		ready := slices.DeleteFunc(slices.Clone(waiting), func(o *template.Resource) bool { return !r.free(o) })
		if len(ready) == 0 {
			return // the rest depends on what was refused
		}
		if existing := slices.IndexFunc(ready, func(o *template.Resource) bool { return o.Existing }); existing >= 0 {
			ready = ready[existing : existing+1] // it is there by now: who depends on it waits no longer
			r.done[ready[0]] = succeeded
		} else {
			if !atOnce {
				ready = ready[:1]
			}
			r.together(ready)
		}
		waiting = slices.DeleteFunc(waiting, func(o *template.Resource) bool { return slices.Contains(ready, o) })
	}
}

// turn is when one of several resources is made that are made at the same time.
type turn struct {
	came   chan struct{} // closed when it pauses in the middle of a write, or is made
	goOn   chan struct{} // closed when it may go on
	done   chan struct{} // closed when it is made
	caught *hostmux.Panic
}

// together makes resources at the same time. They come one after another, so that which of them
// another meets is no matter of chance: the next begins when the one before is made, or pauses in the
// middle of a write until all of them, and all beside this deployment, have come. In the same order
// they go on.
func (r *run) together(ready []*template.Resource) {
	var pauses atomic.Bool
	turns := make([]*turn, len(ready))
	for i, o := range ready {
		t := &turn{came: make(chan struct{}), goOn: make(chan struct{}), done: make(chan struct{})}
		come := sync.OnceFunc(func() { close(t.came) })
		as := &sibling{r.chain, r.request.evaluated, func() {
			pauses.Store(true)
			come()
			<-t.goOn
		}}
		go func() {
			defer close(t.done)
			defer come()
			t.caught = hostmux.Catch(func() { r.make(o, as) })
		}()
		<-t.came
		turns[i] = t
	}
	if beside, ok := rest.Chain(r.call.Request.Context()).(*sibling); ok && pauses.Load() {
		beside.Pause()
	}
	for _, t := range turns {
		close(t.goOn)
		<-t.done
	}
	for _, t := range turns {
		if t.caught != nil {
			panic(t.caught) // in the goroutine of the request, where it ends that request alone
		}
	}
}

// free reports whether all that a resource depends on is made.
func (r *run) free(o *template.Resource) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !slices.ContainsFunc(o.DependsOn, func(d *template.Resource) bool { return r.done[d] != succeeded })
}

// make makes one resource and notes how it went.
func (r *run) make(o *template.Resource, as *sibling) {
	began := r.Kit.Clock.Now()
	status, problem := r.send(o, as)
	state := succeeded
	operation := template.NewObject("provisioningOperation", "Create")
	if problem != nil {
		state = refusedAs
	}
	operation.Set("provisioningState", state)
	r.timed(operation, began)
	operation.Set("statusCode", strings.ReplaceAll(http.StatusText(status), " ", ""))
	if problem != nil {
		operation.Set("statusMessage", template.NewObject("status", refusedAs, "error", problem))
	}
	operation.Set("targetResource", template.NewObject("id", o.ID, "resourceType", o.Type, "resourceName", o.Name))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done[o] = state
	if problem != nil {
		if problem.Get("target") == nil {
			problem.Set("target", o.ID)
		}
		r.problems = append(r.problems, problem)
	}
	r.note(operation)
}

// timed adds when an operation was.
func (r *run) timed(operation *template.Object, began time.Time) {
	now := r.Kit.Clock.Now()
	operation.Set("timestamp", rest.Time(now))
	operation.Set("duration", duration(now.Sub(began)))
	operation.Set("trackingId", uuid.NewString())
}

// note adds an operation; r.mu is held.
// Source: azure-rest-api-specs, DeploymentOperationProperties.
func (r *run) note(properties *template.Object) {
	id := strings.ToUpper(strings.ReplaceAll(uuid.NewString(), "-", ""))[:16]
	r.operations = append(r.operations, template.NewObject("id", idOf(r.request.scope, r.request.name)+"/operations/"+id, "operationId", id, "properties", properties))
}

func duration(d time.Duration) string {
	return strings.TrimSuffix(strings.TrimSuffix(fmt.Sprintf("PT%.7f", d.Seconds()), "0000000"), ".") + "S"
}

// send makes one resource by a request; problem is nil if it was made.
func (r *run) send(o *template.Resource, as *sibling) (status int, problem *template.Object) {
	if r.chain.resources.Add(1) > maxDeployed {
		return http.StatusBadRequest, problemOf("NotEmulated", fmt.Sprintf("A deployment makes %d resources at most, with all that are in its template.", maxDeployed))
	}
	body, err := r.request.plan.Definition(o, r.live(r.call, r.chain), false)
	var data []byte
	if err == nil {
		data, err = body.MarshalJSON()
	}
	if err != nil {
		return http.StatusBadRequest, problemIn(err)
	}
	return r.settle(r.call.Send(http.MethodPut, o.ID+"?api-version="+o.APIVersion, data, as))
}

func problemOf(code, message string) *template.Object {
	return template.NewObject("code", code, "message", message)
}

func problemIn(err error) *template.Object {
	var what *template.Error
	switch {
	case !errors.As(err, &what):
		return problemOf("InvalidTemplate", err.Error())
	case what.Unsupported:
		return problemOf(what.Code, what.Path+": "+what.Message)
	}
	return problemOf(what.Code, what.Message)
}

// settle waits until what was asked for is done. Providers here are done when they answer; they
// say where to ask, as the real ones do.
func (r *run) settle(sent rest.Sent) (status int, problem *template.Object) {
	if sent.Status >= http.StatusBadRequest {
		return sent.Status, errorIn(sent)
	}
	at, isStatus := sent.Header.Get("Azure-Asyncoperation"), true
	if at == "" {
		at, isStatus = sent.Header.Get("Location"), false
	}
	path, ok := strings.CutPrefix(at, "https://"+r.call.Host)
	if !ok || !isStatus && sent.Status != http.StatusAccepted {
		return sent.Status, nil
	}
	answer := r.call.Send(http.MethodGet, path, nil, r.chain)
	if answer.Status >= http.StatusBadRequest {
		return answer.Status, errorIn(answer)
	}
	if o, _ := template.ParseObject(answer.Body); isStatus && o.Text("status") != succeeded { // what is no JSON has no status
		return http.StatusConflict, ended(o, errorIn(answer))
	}
	return sent.Status, nil
}

// ended is how a resource is refused that was accepted first.
// Source: the answers of deployments in MicrosoftLearning's exercises about PostgreSQL (2024).
func ended(o, problem *template.Object) *template.Object {
	made := problemOf("ResourceDeploymentFailure", fmt.Sprintf("The resource write operation failed to complete successfully, because it reached terminal provisioning state '%s'.", o.Text("status")))
	made.Set("details", []any{problem})
	return made
}

// result is the deployment once all is made.
func (r *run) result() *template.Object {
	if len(r.problems) == 0 && r.request.complete {
		r.remove()
	}
	if len(r.problems) == 0 {
		var err error
		began := r.Kit.Clock.Now()
		if r.outputs, err = r.request.plan.Outputs(r.live(r.call, r.chain)); err != nil {
			r.failure = problemIn(err)
		} else {
			operation := template.NewObject("provisioningOperation", "EvaluateDeploymentOutput", "provisioningState", succeeded)
			r.timed(operation, began)
			operation.Set("statusCode", "OK")
			r.note(operation)
		}
	}
	if len(r.problems) > 0 {
		// Source: microsoft/finops-toolkit#1248 (2025), whose details are as here.
		r.failure = template.NewObject("code", "DeploymentFailed", "target", idOf(r.request.scope, r.request.name),
			"message", "At least one resource deployment operation failed. Please list deployment operations for details. Please see https://aka.ms/arm-deployment-operations for usage details.", "details", r.problems)
	}
	more := template.NewObject()
	if r.failure != nil {
		more.Set("error", r.failure)
		return r.shown(refusedAs, more)
	}
	if r.outputs.Len() > 0 {
		more.Set("outputs", r.outputs)
	}
	resources := []any{}
	for _, o := range r.request.plan.Resources {
		if !o.Skipped && !o.Existing {
			resources = append(resources, r.outputResources(o)...)
		}
	}
	more.Set("outputResources", resources)
	return r.shown(succeeded, more)
}

// outputResources are what a resource of the template has made: itself, or, of a deployment in the
// template, what that has made.
func (r *run) outputResources(o *template.Resource) []any {
	if strings.EqualFold(typeOf(o.ID), kind) {
		if d := r.Deployment(o.ID); d != nil {
			return shownAs(d.Shown).Object("properties").List("outputResources")
		}
	}
	return []any{template.NewObject("id", o.ID)}
}

// remove deletes what is in the resource group and not in the template, which is what the mode
// Complete is about.
func (r *run) remove() {
	keep := map[string]bool{}
	// Source: azure-docs, azure-resource-manager/templates/conditional-resource-deployment.md, "Complete mode".
	keepsSkipped := r.call.Query("api-version") < "2019-05-10"
	for _, o := range r.request.plan.Resources {
		if o.Skipped && !keepsSkipped || o.Existing {
			continue
		}
		for _, made := range r.outputResources(o) {
			id, _ := made.(*template.Object)
			keep[strings.ToLower(id.Text("id"))] = true
		}
	}
	for _, o := range r.inScope(r.call.Caller.Tenant, r.request.scope) {
		if keep[strings.ToLower(o.ID)] || unremovable(o) || slices.ContainsFunc(r.removed, func(id string) bool { return strings.HasPrefix(strings.ToLower(o.ID), strings.ToLower(id)+"/") }) {
			continue
		}
		began := r.Kit.Clock.Now()
		sent := r.call.Send(http.MethodDelete, o.ID+"?api-version="+r.version(o.ID), nil, r.chain)
		operation := template.NewObject("provisioningOperation", "Delete", "provisioningState", succeeded)
		status, problem := r.settle(sent)
		if problem != nil {
			operation.Set("provisioningState", refusedAs)
			r.problems = append(r.problems, problem)
		} else {
			r.removed = append(r.removed, o.ID)
		}
		r.timed(operation, began)
		operation.Set("statusCode", strings.ReplaceAll(http.StatusText(status), " ", ""))
		operation.Set("targetResource", template.NewObject("id", o.ID, "resourceType", o.Type, "resourceName", o.Name))
		r.note(operation)
	}
}

// unremovable reports whether a resource is part of another one and goes with it alone: no
// deployment deletes it.
func unremovable(o rest.Resource) bool {
	return strings.EqualFold(o.Type, "Microsoft.Sql/servers/databases") && strings.EqualFold(o.Name[strings.LastIndexByte(o.Name, '/')+1:], "master")
}

// shown is the deployment as it is answered, with what is known of it beside.
func (r *run) shown(state string, more *template.Object) *template.Object {
	properties := template.NewObject("templateHash", hash(r.request.template.Root()))
	if r.request.plan.Parameters.Len() > 0 {
		properties.Set("parameters", r.request.plan.Parameters)
	}
	mode := "Incremental"
	if r.request.complete {
		mode = "Complete"
	}
	for _, m := range [][2]any{{"mode", mode}, {"provisioningState", state}, {"timestamp", rest.Time(r.Kit.Clock.Now())}, {"duration", "PT0S"}, {"correlationId", r.chain.correlation}, {"providers", r.usedProviders()}, {"dependencies", r.dependencies()}} {
		properties.Set(m[0].(string), m[1])
	}
	for _, name := range more.Names() {
		properties.Set(name, more.Get(name))
	}
	made := template.NewObject("id", idOf(r.request.scope, r.request.name), "name", r.request.name, "type", kind)
	if r.request.location != "" {
		made.Set("location", r.request.location)
	}
	made.Set("properties", properties)
	return made
}

// usedProviders are those of the template's resources, with the regions that these are in.
func (r *run) usedProviders() []any {
	made := []any{}
	seen := map[string]*template.Object{}
	for _, name := range r.request.plan.Types() {
		of, rest, _ := strings.Cut(name, "/")
		one := seen[strings.ToLower(of)]
		if one == nil {
			one = template.NewObject("namespace", of, "resourceTypes", []any{})
			seen[strings.ToLower(of)] = one
			made = append(made, one)
		}
		one.Set("resourceTypes", append(one.List("resourceTypes"), template.NewObject("resourceType", rest, "locations", []any{nil})))
	}
	return made
}

// dependencies are which resource of the template waits for which.
func (r *run) dependencies() []any {
	made := []any{}
	about := func(o *template.Resource) *template.Object {
		return template.NewObject("id", o.ID, "resourceType", o.Type, "resourceName", o.Name)
	}
	for _, o := range r.request.plan.Resources {
		var on []any
		for _, d := range o.DependsOn {
			if !d.Existing && !d.Skipped {
				on = append(on, about(d))
			}
		}
		if len(on) > 0 && !o.Existing && !o.Skipped {
			one := template.NewObject("dependsOn", on)
			for _, name := range about(o).Names() {
				one.Set(name, about(o).Get(name))
			}
			made = append(made, one)
		}
	}
	return made
}
