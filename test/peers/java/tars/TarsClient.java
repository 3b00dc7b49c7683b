// A client of TarsJava: `call PORT SERVANT FUNCTION TEXT`, `size PORT N`, `load PORT CALLS` (who answered how often).
package com.example;

import com.qq.tars.client.Communicator;
import com.qq.tars.client.CommunicatorConfig;
import com.qq.tars.client.CommunicatorFactory;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;

final class TarsClient {
  private static Communicator communicator;

  public static void main(String[] args) throws Exception {
    CommunicatorConfig config = new CommunicatorConfig();
    config.setSyncInvokeTimeout(20_000);
    communicator = CommunicatorFactory.getInstance().getCommunicator(config);
    Commands.ready();
    Commands.serve(TarsClient::run);
  }

  private static HelloPrx proxy(String port, String servant) {
    return communicator.stringToProxy(HelloPrx.class, servant + "@tcp -h 127.0.0.1 -p " + port + " -t 60000");
  }

  private static String run(String verb, String[] args) {
    HelloPrx hello = proxy(args[0], verb.equals("call") ? args[1] : "App.Server.Obj");
    switch (verb) {
      case "call":
        switch (args[2]) {
          case "hello": return hello.hello(args[3], Collections.singletonMap("user", "jane"));
          case "slow": return hello.slow(args[3]);
          default: return hello.missing(args[3]);
        }
      case "size": {
        char[] text = new char[Integer.parseInt(args[1])];
        Arrays.fill(text, 'x');
        String sent = new String(text);
        String said = hello.hello(sent);
        return String.valueOf(said.startsWith(sent + " from "));
      }
      default: {
        Map<String, Integer> counts = new TreeMap<>();
        for (int i = 0; i < Integer.parseInt(args[1]); i++) {
          String said = hello.hello("n" + i);
          if (!said.startsWith("n" + i + " from ")) throw new IllegalStateException(said);
          counts.merge(said.substring(said.lastIndexOf(' ') + 1), 1, Integer::sum);
        }
        return counts.toString();
      }
    }
  }
}
