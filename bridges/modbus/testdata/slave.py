"""A slave of pymodbus with two unit identifiers.

usage: slave.py rtu PORT BAUD | tcp

unit 1: input registers 0..1 float32 230.25, holding register 10 int16 -125
unit 2: coils 0..7 off, discrete input 1 on, holding registers 0..9 zero
tcp takes a free port of 127.0.0.1; READY and the port are printed when it listens.
"""
import asyncio
import struct
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartSerialServer
from pymodbus.server.async_io import ModbusTcpServer
from pymodbus.transaction import ModbusRtuFramer, ModbusSocketFramer

voltage = list(struct.unpack(">HH", struct.pack(">f", 230.25)))
one = ModbusSlaveContext(
    ir=ModbusSequentialDataBlock(0, voltage + [0] * 8),
    hr=ModbusSequentialDataBlock(0, [0] * 10 + [65536 - 125]),
    zero_mode=True,
)
two = ModbusSlaveContext(
    co=ModbusSequentialDataBlock(0, [0] * 8),
    di=ModbusSequentialDataBlock(0, [0, 1, 0, 0]),
    hr=ModbusSequentialDataBlock(0, [0] * 10),
    zero_mode=True,
)
context = ModbusServerContext(slaves={1: one, 2: two}, single=False)


async def tcp():
    server = ModbusTcpServer(context, framer=ModbusSocketFramer, address=("127.0.0.1", 0))
    serving = asyncio.ensure_future(server.serve_forever())
    while server.server is None or not server.server.sockets:
        await asyncio.sleep(0.01)
    print("READY", server.server.sockets[0].getsockname()[1], flush=True)
    await serving


if sys.argv[1] == "tcp":
    asyncio.run(tcp())
else:
    print("READY", flush=True)
    StartSerialServer(context=context, framer=ModbusRtuFramer, port=sys.argv[2], baudrate=int(sys.argv[3]),
                      bytesize=8, parity="N", stopbits=1, timeout=0.01)
