package homeassistant_test

import (
	"testing"

	"fieldgate/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
