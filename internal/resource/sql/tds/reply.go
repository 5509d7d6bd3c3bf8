package tds

import "errors"

// Reply is the answer to a request while it is written.
type Reply struct {
	of      *conversation
	packets *packets
	err     error // of the connection; nothing is written after it

	columns []Column
	buf     []byte
	rows    int64

	final     byte   // the token that ends it
	more      bool   // the answer to another call follows
	procedure bool   // statements are within one
	own       int    // parameters of that procedure, before those of the statements
	returned  []byte // output parameters
	pending   *statementDone
	failed    bool
	cancelled bool
}

// output is a parameter that comes back.
type output struct {
	ordinal int // among those of the call
	Param
}

// outputs has the parameters that are Output come back, which are those of the call from the
// one after its own on.
func (r *Reply) outputs(params []Param) {
	for i, p := range params {
		if p.Output {
			r.comesBack(output{r.own + i, p})
		}
	}
}

// prepared has the handle of a prepared statement come back, by the name that the client gave
// the parameter: tedious takes no other one.
func (r *Reply) prepared(by []Param, handle int64) {
	o := output{Param: Param{Type: Int, Value: handle}}
	if len(by) > 0 {
		o.Name = by[0].Name
	}
	r.comesBack(o)
}

func (r *Reply) comesBack(o output) {
	b, err := appendReturnValue(r.returned, o)
	if err != nil {
		r.Fail(Errorf(8009, "The incoming tabular data stream (TDS) remote procedure call (RPC) protocol stream is incorrect: parameter %d is an output parameter, and wiemu returns none of its type.", o.ordinal))
		return
	}
	r.returned = b
}

// statementDone is the end of a statement that was not written: if nothing follows, it is
// the end of the batch.
type statementDone struct {
	status, command uint16
	count           int64
}

func (r *Reply) write(b []byte) {
	r.flush()
	r.put(b)
}

func (r *Reply) put(b []byte) {
	if r.err == nil {
		_, r.err = r.packets.Write(b)
	}
}

func (r *Reply) flush() {
	if r.pending == nil {
		return
	}
	d := r.pending
	r.pending = nil
	token := byte(tokDone)
	if r.procedure {
		token = tokDoneInProc
	}
	r.put(appendDone(nil, token, d.status|doneMore|r.inTransaction(), d.command, d.count))
}

func (r *Reply) inTransaction() uint16 {
	if r.of.session.InTransaction() {
		return doneInTransaction
	}
	return 0
}

func (r *Reply) done(token byte, status, command uint16, count int64) {
	r.flush()
	r.put(appendDone(nil, token, status, command, count))
}

// Columns begins a result set.
func (r *Reply) Columns(columns []Column) {
	r.columns, r.rows = columns, 0
	r.write(appendColumns(r.buf[:0], columns))
}

// Row adds a row to the result set: a value for each column, nil for NULL. It returns an
// error if a value is not of its column's type.
func (r *Reply) Row(values []any) error {
	r.buf = append(r.buf[:0], tokRow)
	b, err := r.buf, error(nil)
	for i, c := range r.columns {
		if b, err = c.Type.appendValue(b, values[i]); err != nil {
			return err
		}
	}
	r.buf = b
	r.rows++
	r.put(b)
	return r.err
}

// EndRows ends a result set.
func (r *Reply) EndRows() {
	r.flush()
	r.pending = &statementDone{status: doneCount, command: commandSelect, count: r.rows}
}

// commandSelect is the command in DONE of a query; of others, drivers want none.
const commandSelect = 0xC1

// Done ends a statement without rows.
func (r *Reply) Done() {
	r.flush()
	r.pending = &statementDone{}
}

// Message sends a message, such as PRINT's.
func (r *Reply) Message(e *Error) { r.write(appendError(nil, e, r.of.server.Name)) }

// Fail sends an error.
func (r *Reply) Fail(err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = Errorf(50000, "%v", err)
	}
	r.write(appendError(nil, e, r.of.server.Name))
	r.failed = true
}

// finish ends the answer, or that to one call of several.
func (r *Reply) finish() {
	if r.cancelled {
		r.done(r.final, doneError|r.inTransaction(), 0, 0)
		return
	}
	var status uint16
	if r.failed {
		status |= doneError
	}
	if r.more {
		status |= doneMore
	}
	if d := r.pending; r.final == tokDone && d != nil && !r.failed {
		r.pending = nil
		r.put(appendDone(nil, tokDone, d.status|status|r.inTransaction(), d.command, d.count))
		return
	}
	if r.final == tokDoneProc {
		code := byte(0)
		if r.failed {
			code = 1
		}
		r.write([]byte{tokReturnStatus, code, 0, 0, 0})
		r.put(r.returned)
	}
	r.done(r.final, status|r.inTransaction(), 0, 0)
	r.returned, r.failed, r.procedure, r.own = nil, false, false, 0
}
