package sql

// FillSessions takes the places of so many sessions, which are as good as logged in, for the
// rest of a test.
func (s *Servers) FillSessions(n int) {
	for range n {
		s.clients.enter(&listener{})
	}
}
