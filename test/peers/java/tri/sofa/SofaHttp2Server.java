// A SOFARPC server over "h2c" or "tri": SofaHttp2Server PROTOCOL PORT NAME [UNIQUE_ID]; with a unique id it offers the service under that one too, as NAME-UNIQUE_ID.
package com.example;

import com.alipay.sofa.rpc.config.ProviderConfig;
import com.alipay.sofa.rpc.config.ServerConfig;
import com.alipay.sofa.rpc.transport.SofaStreamObserver;

public final class SofaHttp2Server implements Streams {
  private final String name;

  private SofaHttp2Server(String name) {
    this.name = name;
  }

  @Override
  public void count(String request, SofaStreamObserver<String> out) {
    String[] words = request.split(" ");
    int n = Integer.parseInt(words[0]);
    for (int i = 0; i < n; i++) out.onNext(i + " from " + name);
    if (words.length == 1) out.onCompleted();
    else out.onError(new IllegalStateException("behind " + n));
  }

  @Override
  public SofaStreamObserver<String> chat(SofaStreamObserver<String> out) {
    return new SofaStreamObserver<String>() {
      @Override
      public void onNext(String text) {
        out.onNext(text + " at " + name);
      }

      @Override
      public void onCompleted() {
        out.onCompleted();
      }

      @Override
      public void onError(Throwable error) {}
    };
  }

  private static <T> ProviderConfig<T> provider(ServerConfig server, Class<T> type, T service) {
    return new ProviderConfig<T>().setInterfaceId(type.getName()).setRef(service).setServer(server).setRegister(false);
  }

  public static void main(String[] args) throws Exception {
    ServerConfig server = new ServerConfig().setProtocol(args[0]).setHost("127.0.0.1").setPort(Integer.parseInt(args[1])).setDaemon(false);
    provider(server, Hello.class, new SofaServer(args[2])).export();
    if (args[0].equals("tri")) provider(server, Streams.class, new SofaHttp2Server(args[2])).export();
    if (args.length > 3) provider(server, Hello.class, new SofaServer(args[2] + "-" + args[3])).setUniqueId(args[3]).export();
    Commands.ready();
    Commands.serve((verb, words) -> "nothing to do");
  }
}
