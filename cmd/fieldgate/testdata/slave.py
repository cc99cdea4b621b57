"""A Modbus RTU slave of pymodbus with two unit identifiers; prints every write.

usage: slave.py PORT BAUD

unit 1, a meter: input registers 0 and 1 hold the float32 230.25, holding register 10 the int16 -125
unit 2, a relay board: coils 0 to 7 off, holding registers 0 to 9 zero
"""
import struct
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartSerialServer
from pymodbus.transaction import ModbusRtuFramer


class Announced(ModbusSequentialDataBlock):
    """A block that prints what is written to it."""

    def __init__(self, name, values):
        self.name = name
        super().__init__(0, values)

    def setValues(self, address, values):
        super().setValues(address, values)
        print("WRITE", self.name, address, *values, flush=True)


voltage = list(struct.unpack(">HH", struct.pack(">f", 230.25)))
meter = ModbusSlaveContext(
    ir=ModbusSequentialDataBlock(0, voltage + [0] * 98),
    hr=ModbusSequentialDataBlock(0, [0] * 10 + [65536 - 125] + [0] * 89),
    zero_mode=True,
)
relays = ModbusSlaveContext(
    co=Announced("coil", [0] * 8),
    hr=Announced("holding", [0] * 10),
    zero_mode=True,
)
print("READY", flush=True)
StartSerialServer(
    context=ModbusServerContext(slaves={1: meter, 2: relays}, single=False),
    framer=ModbusRtuFramer,
    port=sys.argv[1],
    baudrate=int(sys.argv[2]),
    bytesize=8,
    parity="N",
    stopbits=1,
    timeout=0.01,
)
