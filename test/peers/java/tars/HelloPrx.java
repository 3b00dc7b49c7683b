// The servant as its callers see it; the servers have no function `missing`.
package com.example;

import com.qq.tars.protocol.annotation.Servant;
import com.qq.tars.protocol.tars.annotation.TarsContext;
import java.util.Map;

@Servant
public interface HelloPrx {
  String hello(String name);

  String hello(String name, @TarsContext Map<String, String> context);

  String slow(String name);

  String missing(String name);
}
