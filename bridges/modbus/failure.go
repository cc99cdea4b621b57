package modbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/goburrow/modbus"

	"fieldgate/bridges"
)

// The codes of readings that could not be taken, beside bridges.ErrTimeout and
// bridges.ErrLink. An exception is "exception_" and its exception code.
const (
	codeCRC   = "crc"   // the answer was damaged
	codeFrame = "frame" // something else than an answer came
)

// failure is a request without a usable answer.
type failure struct {
	code      string
	words     string
	exception byte  // exception code, 0 when it was none
	err       error // the cause
}

func (f *failure) Error() string { return f.words }

func (f *failure) Unwrap() error { return f.err }

func newFailure(code, format string, args ...any) *failure {
	return &failure{code: code, words: fmt.Sprintf(format, args...)}
}

// failureOf sorts what goburrow's client gives back.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*modbus.ModbusError](err); ok {
		return &failure{
			code:      fmt.Sprintf("exception_%d", e.ExceptionCode),
			words:     fmt.Sprintf("exception %d (%s)", e.ExceptionCode, exceptionWords(e.ExceptionCode)),
			exception: e.ExceptionCode,
			err:       err,
		}
	}
	if errors.Is(err, context.Canceled) {
		return newFailure(bridges.ErrLink, "the bridge stops")
	}
	return &failure{code: codeFrame, words: err.Error(), err: err}
}

// exceptionWords says what an exception code means [Modbus Application Protocol V1.1b3 7].
func exceptionWords(code byte) string {
	switch code {
	case modbus.ExceptionCodeIllegalFunction:
		return "the device does not know this function code"
	case modbus.ExceptionCodeIllegalDataAddress:
		return "the device has no such address"
	case modbus.ExceptionCodeIllegalDataValue:
		return "the device refuses the value"
	case modbus.ExceptionCodeServerDeviceFailure:
		return "the device failed"
	case modbus.ExceptionCodeAcknowledge, modbus.ExceptionCodeServerDeviceBusy:
		return "the device is busy"
	case modbus.ExceptionCodeMemoryParityError:
		return "the device's memory is damaged"
	case modbus.ExceptionCodeGatewayPathUnavailable:
		return "the gateway has no way to the device"
	case modbus.ExceptionCodeGatewayTargetDeviceFailedToRespond:
		return "the device behind the gateway gives no answer"
	}
	return "unknown"
}

// answered tells whether the device itself is there.
func (f *failure) answered() bool {
	return f.exception != 0 &&
		f.exception != modbus.ExceptionCodeGatewayPathUnavailable &&
		f.exception != modbus.ExceptionCodeGatewayTargetDeviceFailedToRespond
}

// mayPass tells whether the same request may succeed at once.
func (f *failure) mayPass() bool {
	switch {
	case f.code == bridges.ErrLink:
		return false
	case f.exception == 0:
		return true
	}
	return f.exception == modbus.ExceptionCodeServerDeviceBusy || f.exception == modbus.ExceptionCodeAcknowledge
}

// patience is how long the unit asks to be left alone by its answer.
func (f *failure) patience() time.Duration {
	const busy = 100 * time.Millisecond
	if f.exception == modbus.ExceptionCodeServerDeviceBusy || f.exception == modbus.ExceptionCodeAcknowledge {
		return busy
	}
	return 0
}
