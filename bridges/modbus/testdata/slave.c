/* A slave of libmodbus: slave PORT BAUD UNIT. Coil 3 off, input 1 on, holding registers 0 to 9 zero, input register 0 is 4711. */
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
	if (argc != 4) return 2;
	modbus_t *m = modbus_new_rtu(argv[1], atoi(argv[2]), 'N', 8, 1);
	modbus_mapping_t *map = modbus_mapping_new(8, 8, 10, 10);
	if (!m || !map || modbus_set_slave(m, atoi(argv[3])) || modbus_connect(m)) return perror("slave"), 1;
	map->tab_input_bits[1] = 1;
	map->tab_input_registers[0] = 4711;
	puts("READY");
	fflush(stdout);
	for (uint8_t query[MODBUS_RTU_MAX_ADU_LENGTH];;) {
		int n = modbus_receive(m, query);
		if (n > 0) modbus_reply(m, query, n, map);
	}
}
