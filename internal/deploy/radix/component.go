package radix

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// component adds a component with its variables and Service, or a job. A job
// runs once, when it is applied: in Radix its scheduler would wait for requests.
func (b *builder) component(w workload.Workload, p partFile, s settings) error {
	named, tagMissing := s.image()
	if tagMissing && b.opts.Images[w.Component] == "" {
		return yamlfile.Problems{{
			File: b.file, Field: w.Component + ".imageTagName", Expected: "a tag for " + s.Image + " in " + w.Environment, Found: "nothing",
			Fix: "add imageTagName to the " + string(w.Role) + " or to this environment of it",
		}}
	}
	image := cmp.Or(b.opts.Images[w.Component], named, b.opts.Images[""])
	isSample := image == ""
	if isSample {
		if b.opts.Sample == "" {
			return fmt.Errorf("%s: %s: expected an image, found none: Radix builds it from source; build it and name it", b.file, w)
		}
		image = b.opts.Sample
		b.remark("%s: Radix builds its image from source; %s stands in for it", w, image)
	}
	b.variables(w, s)
	pod := b.pod(w, p, s, image)
	if isSample {
		pod.Spec.Containers[0].Args = sample(w)
	} else {
		pod.Spec.Containers[0].Command, pod.Spec.Containers[0].Args = s.Command, s.Args
		b.probes(&pod.Spec.Containers[0], p, s, w.Role)
	}
	if w.Role == workload.Job {
		b.job(w, s, pod)
		return nil
	}
	replicas := s.replicas()
	b.add(&appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Name: w.Component, Namespace: w.Namespace,
			Labels: labels(forApplication(w.Application), forComponent(w.Component), map[string]string{"radix-component-type": string(w.Role)}),
		},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: forComponent(w.Component)}, Template: pod},
	})
	b.service(w, p)
	return nil
}

// sample returns the command of wiemu-workload that stands in for a component: it reads a
// secret, as a service repeatedly. Without an identity it reports that it has none.
func sample(w workload.Workload) []string {
	vault, secret := "mykeyvault", "mysecret"
	for _, v := range w.KeyVaults {
		for _, item := range v.Items {
			if item.Type == "secret" {
				vault, secret = v.Name, item.Name
			}
		}
	}
	read := []string{"secret", "get", vault, secret}
	if w.Role == workload.Job {
		return read
	}
	return append([]string{"watch", "--every", "1m"}, read...)
}

// variables adds the ConfigMap that variables are read from. That matters:
// Kubernetes expands $(NAME) in values that a pod states, not in those of a ConfigMap.
func (b *builder) variables(w workload.Workload, s settings) {
	data := map[string]string{}
	for name, value := range s.Variables {
		if isRadix(name) {
			b.remark("%s: variable %s is left out, as Radix does with names of its own", w, name)
			continue
		}
		data[name] = value
	}
	if len(data) > 0 {
		b.add(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Name: variablesName(w.Component), Namespace: w.Namespace,
			Labels: labels(forApplication(w.Application), forComponent(w.Component), map[string]string{"radix-config-map-type": "env-vars"}),
		}, Data: data})
	}
}

// isRadix reports whether a variable is Radix' own. Source: radix-operator,
// pkg/apis/utils/environment_variables.go.
func isRadix(name string) bool {
	return strings.HasPrefix(name, "RADIX_") || strings.HasPrefix(name, "RADIXOPERATOR_")
}

// pod returns the pod of a component or job, without what its image decides.
func (b *builder) pod(w workload.Workload, p partFile, s settings, image string) corev1.PodTemplateSpec {
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels(forApplication(w.Application), forComponent(w.Component))}}
	if w.ClientID != "" {
		template.Labels[azwi.UseLabel] = "true"
	}
	if len(s.Variables) > 0 {
		template.Annotations = map[string]string{"wiemu.dev/variables": digest(s.Variables)}
	}
	container := corev1.Container{
		Name: w.Component, Image: image, Env: b.env(w, p, s), Resources: resources(s),
		// Radix pulls always; here an image may have been loaded into the node.
		ImagePullPolicy: corev1.PullIfNotPresent,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Privileged: new(false), RunAsNonRoot: new(true),
			RunAsUser: s.RunAsUser, ReadOnlyRootFilesystem: s.ReadOnlyFileSystem,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
	for _, port := range p.Ports {
		container.Ports = append(container.Ports, corev1.ContainerPort{Name: port.Name, ContainerPort: port.Port, Protocol: corev1.ProtocolTCP})
	}
	template.Spec = corev1.PodSpec{
		ServiceAccountName: w.ServiceAccount, AutomountServiceAccountToken: new(false),
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
	}
	b.mounts(w, s, &template.Spec, &container)
	template.Spec.Containers = []corev1.Container{container}
	return template
}

// env returns a component's environment, sorted as Radix sorts it. Secrets are set by
// hand, in Radix in its console; a pod starts without them.
func (b *builder) env(w workload.Workload, p partFile, s settings) []corev1.EnvVar {
	own := map[string]string{"RADIX_APP": w.Application, "RADIX_ENVIRONMENT": w.Environment, "RADIX_COMPONENT": w.Component}
	if b.opts.Cluster != "" {
		own["RADIX_CLUSTERNAME"] = b.opts.Cluster
	}
	if len(p.Ports) > 0 {
		var numbers, names []string
		for _, port := range p.Ports {
			numbers, names = append(numbers, strconv.Itoa(int(port.Port))), append(names, port.Name)
		}
		own["RADIX_PORTS"], own["RADIX_PORT_NAMES"] = "("+strings.Join(numbers, " ")+")", "("+strings.Join(names, " ")+")"
	}
	if w.Role == workload.Job {
		own["RADIX_JOB_NAME"] = w.Component
	}
	var all []corev1.EnvVar
	for name, value := range own {
		all = append(all, corev1.EnvVar{Name: name, Value: value})
	}
	for name := range s.Variables {
		if !isRadix(name) {
			all = append(all, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: variablesName(w.Component)}, Key: name}}})
		}
	}
	for _, name := range p.Secrets {
		all = append(all, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: secretName(w.Component)}, Key: name, Optional: new(true)}}})
	}
	if len(p.Secrets) > 0 {
		b.remark("%s: secrets are set by hand: kubectl -n %s create secret generic %s --from-literal=%s=…", w, w.Namespace, secretName(w.Component), p.Secrets[0])
	}
	slices.SortStableFunc(all, func(x, y corev1.EnvVar) int { return strings.Compare(x.Name, y.Name) })
	return all
}

// resources are a component's limits. Its requests are those of a cluster with
// many nodes; here none are made, so that every pod finds a place. (Without any
// Kubernetes would request what the limits are.)
func resources(s settings) corev1.ResourceRequirements {
	var r corev1.ResourceRequirements
	for name, amount := range s.Resources.Limits {
		if r.Limits == nil {
			r.Limits, r.Requests = corev1.ResourceList{}, corev1.ResourceList{}
		}
		r.Limits[corev1.ResourceName(name)], r.Requests[corev1.ResourceName(name)] = amount.Quantity, resource.Quantity{}
	}
	return r
}

// mounts adds empty directories. What Radix mounts by CSI drivers is not there.
func (b *builder) mounts(w workload.Workload, s settings, spec *corev1.PodSpec, container *corev1.Container) {
	for _, m := range s.VolumeMounts {
		if m.EmptyDir == nil {
			b.remark("%s: volume mount %s is left out: Radix mounts it by Azure's blob CSI driver", w, m.Name)
			continue
		}
		dir := &corev1.EmptyDirVolumeSource{}
		if !m.EmptyDir.SizeLimit.IsZero() {
			dir.SizeLimit = &m.EmptyDir.SizeLimit.Quantity
		}
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: m.Name, VolumeSource: corev1.VolumeSource{EmptyDir: dir}})
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: m.Name, MountPath: m.Path})
	}
	for _, vault := range s.SecretRefs.AzureKeyVaults {
		b.remark("%s: secrets of Key Vault %s are not mounted, neither as files nor as variables: Radix does so by the Secrets Store CSI driver, which this cluster does not have; wiemu run and wiemu compose mount them; here set what the component needs under variables, or read the vault, which answers, with the component's identity", w, vault.Name)
	}
}

// probes adds a component's probes: those of the file, else whether its first
// port answers. Source: radix-operator, kubedeployment.go and its chart's values.
func (b *builder) probes(c *corev1.Container, p partFile, s settings, role workload.Role) {
	switch {
	case role == workload.Job:
	case s.HealthChecks != nil:
		c.StartupProbe, c.LivenessProbe, c.ReadinessProbe = s.HealthChecks.StartupProbe.probe(), s.HealthChecks.LivenessProbe.probe(), s.HealthChecks.ReadinessProbe.probe()
	case len(p.Ports) > 0:
		c.ReadinessProbe = &corev1.Probe{
			ProbeHandler:        corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(p.Ports[0].Port)}},
			InitialDelaySeconds: 5, PeriodSeconds: 10, TimeoutSeconds: 1, FailureThreshold: 3, SuccessThreshold: 1,
		}
	}
}

func (p *probeFile) probe() *corev1.Probe {
	if p == nil {
		return nil
	}
	return &p.Probe
}

func (b *builder) service(w workload.Workload, p partFile) {
	if len(p.Ports) == 0 {
		return
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: w.Component, Namespace: w.Namespace, Labels: labels(forApplication(w.Application), forComponent(w.Component))},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Selector: forComponent(w.Component)},
	}
	for _, port := range p.Ports {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: port.Name, Port: port.Port, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(port.Port)})
	}
	b.add(service)
}

// job adds a job as Radix' scheduler makes one. Source: radix-operator,
// pkg/apis/batch/kubejob.go and defaults (RadixJobTimeLimitSeconds).
func (b *builder) job(w workload.Workload, s settings, pod corev1.PodTemplateSpec) {
	own := map[string]string{"radix-job-type": "job-scheduler"}
	backoff, limit := int32(0), int64(43200)
	if s.BackoffLimit != nil {
		backoff = *s.BackoffLimit
	}
	if s.TimeLimitSeconds != nil {
		limit = *s.TimeLimitSeconds
	}
	maps.Copy(pod.Labels, own)
	pod.Spec.RestartPolicy, pod.Spec.ActiveDeadlineSeconds = corev1.RestartPolicyNever, &limit
	b.add(&batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: w.Component, Namespace: w.Namespace, Labels: labels(forApplication(w.Application), forComponent(w.Component), own)},
		Spec:       batchv1.JobSpec{BackoffLimit: &backoff, TTLSecondsAfterFinished: new(int32(86400)), Template: pod},
	})
	b.remark("%s: runs once, now: in Radix its scheduler starts it on request", w)
}
