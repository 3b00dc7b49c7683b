// A SOFARPC server over Bolt whose greeting tells what SOFATracer made of the call: TraceServer PORT.
package com.example;

import com.alipay.common.tracer.core.context.span.SofaTracerSpanContext;
import com.alipay.common.tracer.core.holder.SofaTraceContextHolder;
import com.alipay.sofa.rpc.config.ProviderConfig;
import com.alipay.sofa.rpc.config.ServerConfig;

public final class TraceServer implements Hello {
  /** Trace id, rpcId, rpcId of the caller, sampled. */
  public String sayHello(String who) {
    SofaTracerSpanContext span = SofaTraceContextHolder.getSofaTraceContext().getCurrentSpan().getSofaTracerSpanContext();
    return String.join(" ", span.getTraceId(), span.getSpanId(), span.getParentId(), String.valueOf(span.isSampled()));
  }

  public String slow(int ms) {
    return "";
  }

  public String fail(String text) {
    throw new IllegalStateException(text);
  }

  public byte[] echo(byte[] data) {
    return data;
  }

  public byte[] make(int size) {
    return new byte[size];
  }

  public void note(String text) {}

  public String noted() {
    return "";
  }

  public Person older(Person who, int years) {
    return who;
  }

  public static void main(String[] args) throws Exception {
    ServerConfig server = new ServerConfig().setProtocol("bolt").setHost("127.0.0.1").setPort(Integer.parseInt(args[0])).setDaemon(false);
    new ProviderConfig<Hello>().setInterfaceId(Hello.class.getName()).setRef(new TraceServer()).setServer(server).setRegister(false).export();
    Commands.ready();
    Commands.serve((verb, words) -> "nothing to do");
  }
}
