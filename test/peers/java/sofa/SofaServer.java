// A SOFARPC server over Bolt: SofaServer PORT NAME [UNIQUE_ID]; with a unique id it offers the service under that one too, as NAME-UNIQUE_ID.
package com.example;

import com.alipay.sofa.rpc.config.ProviderConfig;
import com.alipay.sofa.rpc.config.ServerConfig;

public final class SofaServer implements Hello {
  private final String name;
  private volatile String last = "";

  SofaServer(String name) {
    this.name = name;
  }

  public String sayHello(String who) {
    return "hello " + who + " from " + name;
  }

  public String slow(int ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return "slept " + ms + " at " + name;
  }

  public String fail(String text) {
    throw new IllegalStateException(text);
  }

  public byte[] echo(byte[] data) {
    return data;
  }

  public byte[] make(int size) {
    return pattern(size);
  }

  public void note(String text) {
    last = text;
  }

  public String noted() {
    return last;
  }

  public Person older(Person who, int years) {
    return new Person(who.getName() + " of " + name, who.getAge() + years);
  }

  static byte[] pattern(int size) {
    byte[] bytes = new byte[size];
    for (int i = 0; i < size; i++) bytes[i] = (byte) (i * 31 + (i >> 10));
    return bytes;
  }

  private static ProviderConfig<Hello> provider(ServerConfig server, String name) {
    return new ProviderConfig<Hello>().setInterfaceId(Hello.class.getName()).setRef(new SofaServer(name)).setServer(server).setRegister(false);
  }

  public static void main(String[] args) throws Exception {
    int port = Integer.parseInt(args[0]);
    ServerConfig server = new ServerConfig().setProtocol("bolt").setHost("127.0.0.1").setPort(port).setDaemon(false);
    provider(server, args[1]).export();
    if (args.length > 2) provider(server, args[1] + "-" + args[2]).setUniqueId(args[2]).export();
    Commands.ready();
    Commands.serve((verb, words) -> "nothing to do");
  }
}
