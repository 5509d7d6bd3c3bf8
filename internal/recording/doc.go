// Package recording records what comes into a lab in one file, and replays it. It watches the
// listeners and decides nothing: what is answered, then and now, is the emulator's.
//
// # What is in a recording
//
// A [Recording] has the requests that came into a lab, and its answers.
//
//   - [State]: the configuration and the workloads that were there when it began,
//     the faults that were active, the seed that decides about faults, and lab time.
//   - [Input], in the order in which they came, each with its lab time: every
//     request of an application to a listener (Entra ID, resources, discovery, metadata
//     services, TokenRequest), and every request to the control API that changed
//     something: workloads, keys, faults, skews. The control API is the only way to
//     change a lab, so nothing else is recorded. Requests between the lab's components
//     are not inputs, nor is what timers do: both happen again by themselves.
//   - the [Outcome] of each input: status, AADSTS code, error, body, the claims of
//     tokens that were given out, and the journal's event with the checks.
//   - what happened by itself ([Event]): keys that rotated, tokens that were minted,
//     token files that were written. A replay checks that they do so again.
//
// Moving the clock is no input either: every input has its lab time, and a replay
// goes there. Only skew, which changes the time that components see, is.
//
// # Ordinals
//
// Nothing in a recording can be used anywhere. Where the session had a token, a
// key's id, a secret or a random id, the file has its ordinal in double braces:
//
//	{{token 5.1}}     the first token that came up with input 5
//	{{key local 2}}   the id of the second key of the ring local
//	{{jti local 3}}   the id of the third token that the issuer local minted
//	{{secret 1}}      a secret's value: those of the configuration first, then others
//	{{made secret 1}} a client secret that the lab made for an application; see session.Credential
//	{{id 5.2}}        another random id that came up with input 5, such as a trace id
//
// Where a key vault would refuse an ordinal there is a stand-in: another key or certificate
// of the same kind in the place of one that was imported, other bytes of the same length in
// the place of what was encrypted. A replay's answers are of the same form, and nothing of the
// session's can be decrypted.
//
// Of the content of storage accounts there are length and SHA-256 sum; a replay puts other bytes
// of the same length there. The signature of a SAS is kept if a key of the lab made it, and
// in the body of a batch if it is the one that the batch was sent with. Of the headers those
// are kept that answers depend on, and no key of a customer's.
//
// A [Token] that was presented is kept as header, claims and the ordinal of the key
// that signed it. One that came in an answer is named after it. A token that no key of the lab
// signed, and text that is no token at all, is kept without its signature. With
// [Options].Keys the file holds the private keys and the secrets of the
// configuration, and the tokens of a replay are identical.
//
// # Replay
//
// [Replay] opens a lab from the file alone, with new keys unless the file has its own, at the time
// at which the session began, and with a clock that stands still. It goes to the lab time of each
// input in turn and sends it, with the tokens signed anew, and access tokens as this lab has given
// them out. The replay is recorded, too. So the session and its replay are two recordings, with
// inputs that correspond one to one and the same ordinals where the same happened; the [Difference]
// between their outcomes is what has changed. Times in outcomes may differ by two seconds, because
// a running clock advances while a request is answered.
//
// Inputs that overlapped are sent one after the other, in the order in which they
// came, so the order of each workload's own is kept.
package recording
