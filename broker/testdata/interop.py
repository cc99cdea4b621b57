# One conversation of Debian's python3-paho-mqtt: what it gets is printed, a word a line.
import ssl, sys, threading
import paho.mqtt.client as mqtt

scheme, host, port, version, ca, cert, key = sys.argv[1:8]
options = dict(client_id="py-" + version, protocol=int(version), transport="websockets" if scheme.startswith("ws") else "tcp")
if int(version) < mqtt.MQTTv5:
    options["clean_session"] = True
if hasattr(mqtt, "CallbackAPIVersion"):
    options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION2
c = mqtt.Client(**options)
if scheme in ("ssl", "wss"):
    c.tls_set(ca_certs=ca, certfile=cert, keyfile=key, cert_reqs=ssl.CERT_REQUIRED)
if scheme.startswith("ws"):
    c.ws_set_options(path="/mqtt")

got, changed = [], threading.Condition()


def note(word):
    with changed:
        got.append(word)
        changed.notify_all()


def until(n):
    with changed:
        if not changed.wait_for(lambda: len(got) >= n, 20):
            sys.exit("only came: %s" % got)


def topic(m):
    note(("retained " if m.retain else "") + m.payload.decode())


c.on_connect = lambda *_: note("connected")
c.on_subscribe = lambda *_: note("subscribed")
c.on_message = lambda _c, _u, m: topic(m)
c.connect(host, int(port))
c.loop_start()
until(1)
c.subscribe("py/+", 2)
until(2)
for qos, word in enumerate(["zero", "one", "two"]):
    c.publish("py/a", word, qos=qos).wait_for_publish(20)
until(5)
c.publish("py/kept/x", "kept", qos=1, retain=True).wait_for_publish(20)
c.subscribe("py/kept/x", 1)
until(7)
c.disconnect()
c.loop_stop()
print("\n".join(w for w in got if w not in ("connected", "subscribed")))
