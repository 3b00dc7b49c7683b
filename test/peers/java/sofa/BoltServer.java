// A SOFABolt server without SOFARPC: BoltServer PORT. Echoes; "push N" makes it ask its client N times over the same connection before it answers.
package com.example;

import com.alipay.remoting.BizContext;
import com.alipay.remoting.Connection;
import com.alipay.remoting.rpc.RpcServer;
import com.alipay.remoting.rpc.protocol.SyncUserProcessor;

public final class BoltServer extends SyncUserProcessor<String> {
  private final RpcServer server;

  private BoltServer(RpcServer server) {
    this.server = server;
  }

  public String interest() {
    return String.class.getName();
  }

  public Object handleRequest(BizContext context, String request) throws Exception {
    Connection connection = context.getConnection();
    String[] words = request.split(" ", 2);
    switch (words[0]) {
      case "push": {
        StringBuilder answers = new StringBuilder();
        for (int i = 0; i < Integer.parseInt(words[1]); i++) answers.append(server.invokeSync(connection, "asked " + i, 3000)).append(';');
        return answers.toString();
      }
      case "later":
        // One-way, and only when this call is answered.
        new Thread(() -> {
          try {
            Thread.sleep(100);
            server.oneway(connection, "told " + words[1]);
          } catch (Exception e) {
            e.printStackTrace();
          }
        }).start();
        return "yes";
      case "sleep":
        Thread.sleep(Integer.parseInt(words[1]));
        return "slept";
      case "throw":
        throw new IllegalStateException(words[1]);
      default:
        return "echo " + request;
    }
  }

  public static void main(String[] args) throws Exception {
    RpcServer server = new RpcServer("127.0.0.1", Integer.parseInt(args[0]), true);
    server.registerUserProcessor(new BoltServer(server));
    server.startup();
    Commands.ready();
    Commands.serve((verb, words) -> "nothing to do");
  }
}
