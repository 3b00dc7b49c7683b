// SOFARPC calls that carry baggage, their key-value pairs beside the arguments: BaggageApp [PORT NAME] serves; command `borne PORT KEY VALUE` calls, and tells what each side saw.
package com.example;

import com.alipay.sofa.rpc.config.ConsumerConfig;
import com.alipay.sofa.rpc.config.ProviderConfig;
import com.alipay.sofa.rpc.config.ServerConfig;
import com.alipay.sofa.rpc.context.RpcInvokeContext;

public final class BaggageApp {
  public interface Bearer {
    String borne(String key);
  }

  private static String call(String port, String key, String value) {
    Bearer bearer = new ConsumerConfig<Bearer>().setInterfaceId(Bearer.class.getName()).setProtocol("bolt").setDirectUrl("bolt://127.0.0.1:" + port)
        .setTimeout(20_000).setRetries(0).setRegister(false).setSubscribe(false).setRepeatedReferLimit(-1).refer();
    RpcInvokeContext context = RpcInvokeContext.getContext();
    context.putRequestBaggage(key, value);
    try {
      return bearer.borne(key) + ", answered with " + RpcInvokeContext.getContext().getResponseBaggage("by");
    } finally {
      RpcInvokeContext.removeContext();
    }
  }

  public static void main(String[] args) throws Exception {
    System.setProperty("invoke.baggage.enable", "true");
    if (args.length > 0) {
      ServerConfig server = new ServerConfig().setProtocol("bolt").setHost("127.0.0.1").setPort(Integer.parseInt(args[0])).setDaemon(false);
      String name = args[1];
      Bearer bearer = key -> {
        RpcInvokeContext.getContext().putResponseBaggage("by", name);
        return RpcInvokeContext.getContext().getRequestBaggage(key) + " at " + name;
      };
      new ProviderConfig<Bearer>().setInterfaceId(Bearer.class.getName()).setRef(bearer).setServer(server).setRegister(false).export();
    }
    Commands.ready();
    Commands.serve((verb, words) -> call(words[0], words[1], words[2]));
  }

  private BaggageApp() {}
}
