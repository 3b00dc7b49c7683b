// A SOFABolt client without SOFARPC: chooses version and checksum of its frames, and answers what its server asks. Commands on standard input.
package com.example;

import com.alipay.remoting.AsyncContext;
import com.alipay.remoting.BizContext;
import com.alipay.remoting.InvokeContext;
import com.alipay.remoting.rpc.RpcClient;
import com.alipay.remoting.rpc.protocol.AsyncUserProcessor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public final class BoltClient {
  private static final RpcClient client = new RpcClient();
  private static final LinkedBlockingQueue<String> told = new LinkedBlockingQueue<>();

  /** `version`: 1; 2 for the second layout without a checksum; crc for it with one. */
  private static Object invoke(String port, String version, String text, int timeout) throws Exception {
    String url = "127.0.0.1:" + port + (version.equals("1") ? "?_PROTOCOL=1" : "?_PROTOCOL=2&_VERSION=" + (version.equals("crc") ? 2 : 1));
    InvokeContext context = new InvokeContext();
    context.put(InvokeContext.BOLT_CRC_SWITCH, version.equals("crc"));
    return client.invokeSync(url, text, context, timeout);
  }

  private static String run(String verb, String[] args) throws Exception {
    switch (verb) {
      case "call":
        return (String) invoke(args[0], args[1], args[2], Integer.parseInt(args[3]));
      case "echo": {
        char[] text = new char[Integer.parseInt(args[2])];
        for (int i = 0; i < text.length; i++) text[i] = (char) ('a' + i % 26);
        String sent = new String(text);
        return ("echo " + sent).equals(invoke(args[0], args[1], sent, 20_000)) ? "same" : "different";
      }
      case "told":
        return told.poll(5, TimeUnit.SECONDS);
      default:
        throw new IllegalArgumentException(verb);
    }
  }

  public static void main(String[] args) throws Exception {
    client.registerUserProcessor(new AsyncUserProcessor<String>() {
      public String interest() {
        return String.class.getName();
      }

      public void handleRequest(BizContext context, AsyncContext reply, String request) {
        if (request.startsWith("told ")) told.add(request);
        else reply.sendResponse("answer to " + request);
      }
    });
    client.startup();
    Commands.ready();
    Commands.serve(BoltClient::run);
  }

  private BoltClient() {}
}
