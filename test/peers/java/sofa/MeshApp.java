// An application that knows SOFARPC's registry `mesh` and nothing else of where its services are: MeshApp REGISTRY. Commands, see `run`.
package com.example;

import com.alipay.sofa.rpc.config.ApplicationConfig;
import com.alipay.sofa.rpc.config.ConsumerConfig;
import com.alipay.sofa.rpc.config.ProviderConfig;
import com.alipay.sofa.rpc.config.RegistryConfig;
import com.alipay.sofa.rpc.config.ServerConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

public final class MeshApp {
  private static final Map<String, ConsumerConfig<Hello>> consumers = new ConcurrentHashMap<>();
  private static final Map<String, Hello> proxies = new ConcurrentHashMap<>();
  private static final Map<String, ProviderConfig<Hello>> providers = new ConcurrentHashMap<>();
  private static final List<ConsumerConfig<Hello>> many = new ArrayList<>();
  private static RegistryConfig registry;

  private static ApplicationConfig application() {
    return new ApplicationConfig().setAppName("hello-app");
  }

  /** `id` tells services of the one interface apart; "-" for none. */
  private static ConsumerConfig<Hello> consumer(String id) {
    ConsumerConfig<Hello> config = new ConsumerConfig<Hello>().setApplication(application()).setInterfaceId(Hello.class.getName()).setProtocol("bolt")
        .setRegistry(registry).setTimeout(10_000).setRetries(0).setAddressWait(10_000).setRepeatedReferLimit(-1);
    return id.equals("-") ? config : config.setUniqueId(id);
  }

  private static String run(String verb, String[] args) throws Exception {
    switch (verb) {
      case "export": {
        ServerConfig server = new ServerConfig().setProtocol("bolt").setHost("127.0.0.1").setPort(Integer.parseInt(args[1])).setDaemon(true);
        ProviderConfig<Hello> provider = new ProviderConfig<Hello>().setApplication(application()).setInterfaceId(Hello.class.getName())
            .setRef(new SofaServer(args[2])).setServer(server).setRegistry(registry);
        if (!args[0].equals("-")) provider.setUniqueId(args[0]);
        if (args.length > 3) provider.setParameter("port", args[3]);
        provider.export();
        providers.put(args[0], provider);
        return "exported";
      }
      case "unexport":
        providers.remove(args[0]).unExport();
        return "unexported";
      case "refer": {
        ConsumerConfig<Hello> config = consumer(args[0]);
        proxies.put(args[0], config.refer());
        consumers.put(args[0], config);
        return "referred";
      }
      case "unrefer":
        proxies.remove(args[0]);
        consumers.remove(args[0]).unRefer();
        return "unreferred";
      case "call":
        return proxies.get(args[0]).sayHello(args[1]);
      case "load":
        return SofaClient.load(proxies.get(args[0]), Integer.parseInt(args[1]), Integer.parseInt(args[2]), Integer.parseInt(args[3]));
      case "many":
        return many(Integer.parseInt(args[0]));
      case "fewer":
        for (ConsumerConfig<Hello> config : many) config.unRefer();
        return "unreferred";
      default:
        throw new IllegalArgumentException(verb);
    }
  }

  /** As many consumers as a large application has, made one after the other as it does at its start; then each is called. */
  private static String many(int count) throws Exception {
    long began = System.nanoTime();
    List<Hello> all = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      ConsumerConfig<Hello> config = consumer("many" + i).setAddressWait(0);
      many.add(config);
      all.add(config.refer());
    }
    int good = 0;
    for (int i = 0; i < count; i++) {
      for (long end = System.nanoTime() + 30_000_000_000L; ; Thread.sleep(20)) {
        try {
          all.get(i).sayHello("many");
          good++;
          break;
        } catch (Exception error) {
          String text = Commands.describe(error);
          // Until its addresses are there a consumer has no provider; what the mesh answers is told by the service itself.
          if (text.contains("no-route") || System.nanoTime() > end) throw error;
          if (!text.contains("SofaRouteException")) {
            good++;
            break;
          }
        }
      }
    }
    return good + " in " + (System.nanoTime() - began) / 1_000_000;
  }

  public static void main(String[] args) throws Exception {
    registry = new RegistryConfig().setProtocol("mesh").setAddress(args[0]);
    Commands.ready();
    Commands.serve(MeshApp::run);
  }

  private MeshApp() {}
}
