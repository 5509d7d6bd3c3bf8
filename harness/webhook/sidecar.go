package webhook

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Sidecar is the proxy that pods may ask for, which answers in the place of
// Azure's metadata service with tokens of the pod's identity.
type Sidecar struct {
	Image     string // "": there is none to offer, and who asks for one is refused
	InitImage string
	Native    bool // as an init container that goes on: from Kubernetes 1.32 on
}

// The sidecar's containers.
// Source: azure-workload-identity, pkg/webhook/consts.go.
const (
	sidecarContainer     = "azwi-proxy"
	sidecarInitContainer = "azwi-proxy-init"
	defaultSidecarPort   = 8000
	sidecarLogLevel      = "info"
)

// sidecar injects the proxy, if the pod asks for it: any value will do.
// Source: azure-workload-identity, pkg/webhook/webhook.go, Handle.
func (m *mutation) sidecar(s Sidecar) error {
	asked, is := m.annotations[SidecarAnnotation]
	if !is {
		return nil
	}
	if m.hostNetwork {
		return &Denial{Text: "hostNetwork is set to true, cannot inject proxy sidecar", Remedy: "The proxy takes over 169.254.169.254 in the pod's network, which would be the node's: leave hostNetwork or the annotation " + SidecarAnnotation + " out."}
	}
	port := int64(defaultSidecarPort)
	if text, given := m.annotations[PortAnnotation]; given {
		var err error
		if port, err = strconv.ParseInt(text, 10, 32); err != nil {
			return &Denial{Text: "failed to parse proxy sidecar port: " + err.Error(), Remedy: "Write a port into the annotation " + PortAnnotation + "."}
		}
	}
	if LooksOff(asked) {
		m.warn("annotation %s is %q, and the proxy sidecar is injected all the same: only that the annotation is there counts. Remove it", SidecarAnnotation, asked)
	}
	if s.Image == "" || s.InitImage == "" {
		remedy := ""
		if LooksOff(asked) {
			remedy = fmt.Sprintf("The annotation's value %q does not count, only that it is there: remove it. Or name", asked)
		}
		return &Denial{
			Text:   fmt.Sprintf("annotation %s: wiemu has no image of the proxy sidecar; bring azure-workload-identity's images proxy and proxy-init into the cluster and name them under webhook.sidecar in wiemu.yaml", SidecarAnnotation),
			Remedy: cmp.Or(remedy, "Name") + " the images as sidecar: {image: …, initImage: …} under webhook in wiemu.yaml; or leave the annotation out and use WorkloadIdentityCredential. A process has the sidecar without images: wiemu run --managed-identity sidecar.",
		}
	}
	m.injectSidecar(s, port)
	return nil
}

// LooksOff reports whether the value of the sidecar's annotation looks as if it said
// no. azure-workload-identity does not look at it (issue 1210).
func LooksOff(value string) bool {
	return slices.Contains([]string{"false", "f", "0", "no", "n", "off", "disabled", "none"}, strings.ToLower(strings.TrimSpace(value)))
}

// Ends reports whether pods of a restart policy are to end, as those of a Job.
func Ends(restartPolicy string) bool { return restartPolicy == "Never" || restartPolicy == "OnFailure" }

func (m *mutation) injectSidecar(s Sidecar, port int64) {
	is := func(name string) func(*container) bool { return func(c *container) bool { return c.name == name } }
	if !slices.ContainsFunc(m.initContainers, is(sidecarInitContainer)) {
		m.initContainers = append(m.initContainers, newContainer(sidecarInitContainer, s.InitImage, object{
			"securityContext": map[string]any{
				"capabilities": map[string]any{"add": []any{"NET_ADMIN"}, "drop": []any{"ALL"}},
				"privileged":   true, "runAsNonRoot": false, "runAsUser": number(0),
			},
		}))
		last := m.initContainers[len(m.initContainers)-1]
		last.env = []object{{"name": "PROXY_PORT", "value": strconv.FormatInt(port, 10)}}
	}
	into := &m.containers
	if s.Native {
		into = &m.initContainers
	}
	if slices.ContainsFunc(*into, is(sidecarContainer)) {
		return
	}
	flag := fmt.Sprintf("--proxy-port=%d", port)
	proxy := newContainer(sidecarContainer, s.Image, object{
		"args":  []any{flag, "--log-level=" + sidecarLogLevel},
		"ports": []any{map[string]any{"containerPort": number(port)}},
		"lifecycle": map[string]any{"postStart": map[string]any{"exec": map[string]any{
			"command": []any{"/proxy", flag, "--probe", "--log-level=" + sidecarLogLevel},
		}}},
		"securityContext": map[string]any{
			"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []any{"ALL"}},
			"privileged": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
		},
	})
	if s.Native {
		proxy.object["restartPolicy"] = "Always"
	} else if Ends(m.restartPolicy) {
		m.warn("the proxy sidecar goes on when the other containers have ended, so that the pod does not end, and a Job is never complete: before Kubernetes 1.%d it is no native sidecar. Leave the annotation %s out and use WorkloadIdentityCredential", NativeSidecars, SidecarAnnotation)
	}
	*into = slices.Insert(*into, 0, proxy)
	m.tell("the proxy sidecar on port %d", port)
}

func newContainer(name, image string, rest object) *container {
	rest["name"], rest["image"], rest["imagePullPolicy"] = name, image, "IfNotPresent"
	return &container{object: rest, name: name}
}
