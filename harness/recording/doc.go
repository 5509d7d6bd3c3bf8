// Package recording keeps a session of a lab in one file, and plays it again. It
// looks on at the doors and decides nothing: what is answered, then and now, is
// the emulator's.
//
// # What is in a recording
//
// A [Recording] is what a lab was told and what it answered.
//
//   - [State]: the configuration and the workloads that were there when it began,
//     the faults that were active, the seed that decides about faults, and lab time.
//   - [Input], in the order in which they came, each with its lab time: every
//     request of an application at a door (Entra ID, resources, discovery, metadata
//     services, TokenRequest), and every request at the control door that changed
//     something: workloads, keys, faults, skews. That door is the one way to steer a
//     lab, so there is nothing else to write down. How the lab's rooms ask each
//     other is no input, nor is what timers do: both happen again by themselves.
//   - the [Outcome] of each input: status, AADSTS code, error, body, the claims of
//     tokens that were given out, and the journal's event with the checks.
//   - what happened by itself ([Event]): keys that rotated, tokens that were minted,
//     token files that were written. A replay checks that they do so again.
//
// Moving the clock is no input either: every input has its lab time, and a replay
// goes there. Only skew, which changes what the parts see, is.
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
//	{{made secret 1}} a client secret that the lab made for an application; see harness.Credential
//	{{id 5.2}}        another random id that came up with input 5, such as a trace id
//
// A [Token] that was presented is kept as header, claims and the ordinal of the key
// that signed it. One that came in an answer is the answer's. What nobody in the
// lab had signed, and what is no token at all, has lost its signature. With
// [Options].Keys the file carries the private keys and the secrets of the
// configuration, so that tokens come out as they were, to the letter.
//
// # Replay
//
// [Replay] opens a lab from the file alone, with new keys unless the file has its
// own, at the time at which the session began, and with a clock that stands still.
// It goes to the lab time of each input in turn and sends it, with the tokens
// signed anew, and access tokens as this lab has given them out. A recorder looks
// on. So the session and its replay are two recordings whose inputs correspond one
// to one, with the same ordinals where the same happened; the [Difference] between
// their outcomes is what has changed. Times in outcomes may differ by the two
// seconds that a running clock goes on while it answers.
//
// Inputs that overlapped are sent one after the other, in the order in which they
// came, so the order of each workload's own is kept.
package recording
