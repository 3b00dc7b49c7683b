"""A client and a server of thriftpy2 for the Thrift tests: serve PROTOCOL PORT | call PROTOCOL PORT CALLS | ahead PROTOCOL PORT CALLS."""
import os
import sys
import tempfile

import thriftpy2
from thriftpy2.protocol import TBinaryProtocolFactory, TCompactProtocolFactory
from thriftpy2.rpc import make_client
from thriftpy2.server import TThreadedServer
from thriftpy2.thrift import TApplicationException, TMessageType, TProcessor
from thriftpy2.transport import TFramedTransportFactory, TServerSocket

IDL = """
exception Refusal { 1: string why }
service Hello {
  string say(1: string text),
  string refuse(1: string text) throws (1: Refusal refusal),
  string boom(1: string text),
  oneway void note(1: string text),
  i32 notes()
}
"""

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "hello.thrift")
    with open(path, "w") as idl:
        idl.write(IDL)
    hello = thriftpy2.load(path, module_name="hello_thrift")

mode, protocol, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
factory = TCompactProtocolFactory() if protocol == "compact" else TBinaryProtocolFactory()


class Handler:
    count = 0

    def say(self, text):
        return "%s from %d" % (text, port)

    def refuse(self, text):
        raise hello.Refusal(why=text)

    def boom(self, text):
        raise ValueError(text)

    def note(self, text):
        Handler.count += 1

    def notes(self):
        return Handler.count


def client():
    return make_client(hello.Hello, "127.0.0.1", port, proto_factory=factory, trans_factory=TFramedTransportFactory(), timeout=30000)


if mode == "serve":
    server = TThreadedServer(TProcessor(hello.Hello, Handler()), TServerSocket("127.0.0.1", port, client_timeout=None), iprot_factory=factory, itrans_factory=TFramedTransportFactory())
    server.trans.listen()
    print("up")
    server.daemon = True
    server.serve()
elif mode == "call":
    calls = int(sys.argv[4])
    one = client()
    for i in range(calls):
        if i == calls // 2:
            print("half")
        said = one.say("n%d" % i)
        assert said.startswith("n%d from " % i), said
    try:
        one.refuse("declared")
        raise AssertionError("not refused")
    except hello.Refusal as refusal:
        assert refusal.why == "declared"
    one.note("x")
    large = "z" * 1000000
    assert one.say(large).startswith(large)
    one.close()
    print("done %d" % calls)
else:
    # Sends all calls before it reads the first reply, as a client may that takes replies in order.
    calls = int(sys.argv[4])
    one = client()
    for i in range(calls):
        args = hello.Hello.say_args(text="n%d" % i)
        one._oprot.write_message_begin("say", TMessageType.CALL, 0)
        one._oprot.write_struct(args)
        one._oprot.write_message_end()
        one._oprot.trans.flush()
    for i in range(calls):
        name, kind, seqid = one._iprot.read_message_begin()
        assert (name, kind, seqid) == ("say", TMessageType.REPLY, 0), (name, kind, seqid)
        result = hello.Hello.say_result()
        one._iprot.read_struct(result)
        one._iprot.read_message_end()
        assert result.success.startswith("n%d from " % i), (i, result.success)
    one.close()
    print("in order %d" % calls)
