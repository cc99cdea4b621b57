"""Slaves of pymodbus on many serial ports: units 1 and 2 whose four registers at an
address are a number that tells the unit, the address and the how manieth answer it is.

usage: ruler.py rtu|ascii BAUD PORT...
"""
import asyncio
import itertools
import sys

from pymodbus.datastore import ModbusServerContext, ModbusSlaveContext
from pymodbus.datastore.store import BaseModbusDataBlock
from pymodbus.server.async_io import ModbusSerialServer
from pymodbus.transaction import ModbusAsciiFramer, ModbusRtuFramer


class Ruler(BaseModbusDataBlock):
    def __init__(self, unit, sequence):
        self.unit, self.sequence, self.values = unit, sequence, {}

    def validate(self, address, count=1):
        return count == 4

    def getValues(self, address, count=1):
        n = (self.unit * 1000 + address) << 40 | next(self.sequence)
        return [n >> 48 & 0xFFFF, n >> 32 & 0xFFFF, n >> 16 & 0xFFFF, n & 0xFFFF]

    def setValues(self, address, values):
        pass


def slaves():
    sequence = itertools.count(1)
    units = {}
    for unit in (1, 2):
        block = Ruler(unit, sequence)
        units[unit] = ModbusSlaveContext(co=block, di=block, hr=block, ir=block, zero_mode=True)
    return ModbusServerContext(slaves=units, single=False)


async def main():
    framer = ModbusAsciiFramer if sys.argv[1] == "ascii" else ModbusRtuFramer
    serving = []
    for port in sys.argv[3:]:
        server = ModbusSerialServer(slaves(), framer=framer, port=port, baudrate=int(sys.argv[2]), bytesize=8,
                                    parity="N", stopbits=1, timeout=0.01, ignore_missing_slaves=True)
        await server.start()
        serving.append(asyncio.ensure_future(server.serve_forever()))
    print("READY", flush=True)
    await asyncio.gather(*serving)


asyncio.run(main())
