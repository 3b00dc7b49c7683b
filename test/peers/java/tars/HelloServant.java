// The servant as its servers see it.
package com.example;

import com.qq.tars.protocol.annotation.Servant;
import com.qq.tars.protocol.tars.annotation.TarsMethodParameter;

@Servant
public interface HelloServant {
  String hello(@TarsMethodParameter(name = "name") String name);

  String slow(@TarsMethodParameter(name = "name") String name);
}
