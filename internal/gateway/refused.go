package gateway

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/journals"
)

// refusal says why a client may not go to a target.
type refusal struct {
	why    string // completes "HOST:PORT …"
	short  string // what to do, for the status line
	remedy string // what to do, in a sentence
}

// refusalOf explains why a target is not passed to a client.
func (p *proxy) refusalOf(t target, from origin) refusal {
	switch {
	case p.streamPorts(t) != "":
		ports := p.streamPorts(t)
		return refusal{"is emulated by wiemu on port " + ports + " only", "use port " + ports, "Use port " + ports + " in the application's settings."}
	case p.hosts.Has(t.host):
		return refusal{"is emulated by wiemu on port 443 only", "use port 443", "Use port 443 in the application's URL."}
	case t.isLoopback():
		return refusalOfLoopback(from)
	case t.host == imds:
		return refusal{
			"is not emulated by wiemu", "--allow-host " + t.host + " lets it through",
			"If the application is meant to use its workload identity, see why the exchange before this was refused, or why there was none; if it is meant to use a managed identity, run it with --managed-identity imds.",
		}
	case p.allowed.login(t.host):
		return refusal{
			"is a login host that wiemu does not emulate, and a credential must not go there", "ask at the lab's login host",
			"Let the application ask at the login host of the lab's cloud: AZURE_AUTHORITY_HOST, and cloud in wiemu.yaml.",
		}
	}
	allow := t.host
	if from == isolated && t.port != tlsPort && t.port != plainPort { // there is no way out on other ports but by name
		allow = t.String()
	}
	return refusal{
		"is not emulated by wiemu", "--allow-host " + allow + " lets it through",
		fmt.Sprintf("If the application may reach the real host in this run, allow it: --allow-host %s.", allow),
	}
}

func refusalOfLoopback(from origin) refusal {
	if from == isolated {
		return refusal{
			"is loopback of the machine that wiemu runs on, and the client is isolated from it", "start it inside",
			"An isolated application has a loopback of its own: start what it needs inside, or run it without --isolate.",
		}
	}
	return refusal{
		"is loopback, and the client is on another machine than wiemu", "use NO_PROXY",
		"Let the application reach its own machine directly: NO_PROXY=localhost,127.0.0.1,::1.",
	}
}

// refusalOfAddress explains why a host that is allowed by name is not reached: it
// has an address of the machine itself.
func refusalOfAddress(t target, address netip.Addr, from origin) refusal {
	whose := "on another machine"
	if from == isolated {
		whose = "isolated"
	}
	return refusal{
		fmt.Sprintf("has the address %s, within the machine that wiemu runs on, and the client is %s", address, whose), "name a host outside",
		fmt.Sprintf("--allow-host %s is for a host outside: give the name an address that is not of this machine, or run the application on this machine without --isolate.", t.host),
	}
}

type attempt struct {
	to      target
	method  string           // of HTTP; "" for a connection that was led here
	failure string           // what became of that connection
	path    string           // "" if it is not known
	program *journal.Program // nil if it is not known
}

// asked is what the client tried, in words.
func (a attempt) asked() string { return cmp.Or(a.method, "connection") }

// answered is the status of HTTP that the client got, 0 if it did not speak HTTP.
func (a attempt) answered(status int) int {
	if a.method == "" {
		return 0
	}
	return status
}

// attemptOf is what a client has asked the proxy for.
func attemptOf(r *http.Request, t target) attempt {
	a := attempt{to: t, method: attemptMethod(r), program: journals.ProgramOf(r.Context())}
	if originOf(r) != isolated && r.Method != http.MethodConnect {
		a.path = r.URL.Path
	}
	return a
}

// escape writes down that a client tried to reach the world outside, and says
// so in a line and in full.
func (p *proxy) escape(a attempt, because refusal) (reason, explanation string) {
	p.escapes.Add(1)
	t := a.to
	reason = fmt.Sprintf("%s %s; %s", t, because.why, because.short)
	explanation = fmt.Sprintf("wiemu refused this connection: %s %s.\n%s", t, because.why, because.remedy)
	e := journal.Event{
		Kind: journal.Escape, Outcome: journal.Denied, Status: a.answered(http.StatusForbidden), Error: a.failure,
		Summary: fmt.Sprintf("%s to %s refused: it %s", a.asked(), t, because.why),
		Host:    t.String(), Method: a.method, Path: a.path, Program: a.program, Message: explanation,
		Meaning: "A client tried to reach the world outside the lab.",
		Remedy:  because.remedy,
	}
	if t.host == imds {
		e.Meaning = "A client asked the machine's metadata service for a token, as DefaultAzureCredential does when no credential before it worked."
	}
	p.journal.Record(e)
	return reason, explanation
}

// plainRefused answers a client that speaks to an emulated host in clear text.
// That is no escape: it would not have left the lab.
func (p *proxy) plainRefused(w http.ResponseWriter, r *http.Request, t target) {
	explanation := fmt.Sprintf("wiemu emulates %s over TLS only, as the real host answers over TLS only: use https with a CONNECT to %s:443.", t.host, t.host)
	p.journal.Record(journal.Event{
		Kind: journal.Access, Outcome: journal.Denied, Status: http.StatusForbidden,
		Summary: fmt.Sprintf("%s %s was asked for in clear text", r.Method, t.host),
		Host:    t.String(), Method: r.Method, Path: r.URL.Path, Program: journals.ProgramOf(r.Context()), Message: explanation,
		Meaning: "What is sent to this host in clear text, such as a token, can be read on the way.",
		Remedy:  "Use https in the application's URL.",
	})
	http.Error(w, explanation, http.StatusForbidden)
}

// needsConnect answers a client that may go to the host, but asks the proxy itself
// to speak TLS or another protocol for it.
func (p *proxy) needsConnect(w http.ResponseWriter, r *http.Request, t target) {
	explanation := fmt.Sprintf("wiemu's proxy forwards http URLs only: for %s, ask it for a tunnel with CONNECT %s.", r.URL.Scheme, t)
	p.journal.Record(journal.Event{
		Kind: journal.Access, Outcome: journal.Denied, Status: http.StatusBadRequest,
		Summary: fmt.Sprintf("%s of an %s URL of %s was asked of the proxy, which forwards http URLs only", r.Method, r.URL.Scheme, t.host),
		Host:    t.String(), Method: r.Method, Path: r.URL.Path, Message: explanation,
		Meaning: "The client may reach this host, but a proxy cannot speak " + r.URL.Scheme + " for it.",
		Remedy:  "Let the client use CONNECT, as HTTP clients do for https URLs.",
	})
	http.Error(w, explanation, http.StatusBadRequest)
}

// AttemptTCP and AttemptUDP are the methods by which package isolation reports, at
// the listener for isolated programs, that a program tried to reach a port on
// which nothing answers. The target is the host of the URL. Such a report is
// written down and leads nowhere.
const (
	AttemptTCP = "CONNECT-TCP"
	AttemptUDP = "CONNECT-UDP" // the name is RFC 9298's
)

// attemptMethod is the method of a request as the journal tells it.
func attemptMethod(r *http.Request) string {
	if r.Method == AttemptTCP {
		return http.MethodConnect
	}
	return r.Method
}

// attempted writes down what an isolated program tried. It reaches nothing.
func (p *proxy) attempted(w http.ResponseWriter, r *http.Request) {
	t, err := plainTarget(r)
	switch {
	case err != nil || r.Method != AttemptTCP && r.Method != AttemptUDP:
		http.Error(w, "This is wiemu's listener for isolated programs. It takes CONNECT, and reports of attempts.", http.StatusBadRequest)
		return
	case r.Method == AttemptUDP && p.hosts.Has(t.host) && t.port == tlsPort:
		p.notOffered(r, t, "over TCP only", "Clients fall back to TCP by themselves.")
	case p.allowed.permits(t) && r.Method == AttemptUDP:
		p.notOffered(r, t, "over TCP only", "Let the client use TCP; clients of HTTP/3 fall back to it by themselves.")
	case p.allowed.permits(t):
		p.notOffered(r, t, "on ports 443, 80 and those that are allowed with a name", fmt.Sprintf("Name the port: --allow-host %s.", t))
	default:
		_, explanation := p.escape(attemptOf(r, t), p.refusalOf(t, isolated))
		http.Error(w, explanation, http.StatusForbidden)
		return
	}
	w.WriteHeader(http.StatusForbidden)
}

// letOut writes down that a client reaches a login host outside, which it does
// only if that is allowed by name.
func (p *proxy) letOut(a attempt) {
	if !p.allowed.login(a.to.host) {
		return
	}
	p.journal.Record(journal.Event{
		Kind: journal.Access, Outcome: journal.Granted, Status: a.answered(http.StatusOK),
		Summary: fmt.Sprintf("%s to %s was let through: a login host outside the lab, which is allowed by name", a.asked(), a.to),
		Host:    a.to.String(), Method: a.method, Program: a.program,
		Meaning: "What the application sends there leaves this machine. wiemu does not see it.",
		Remedy:  "Send no credential of the lab there, and none that opens something real unless that is meant.",
	})
}

// notOffered writes down that a host which a program may reach is not reached in
// this way. That is no escape.
func (p *proxy) notOffered(r *http.Request, t target, offered, remedy string) {
	method := attemptMethod(r)
	p.journal.Record(journal.Event{
		Kind: journal.Access, Outcome: journal.Denied, Status: http.StatusForbidden,
		Summary: fmt.Sprintf("%s to %s refused: isolated applications reach it %s", method, t, offered),
		Host:    t.String(), Method: method, Remedy: remedy,
	})
}
