// Says its port behind what it got.
package com.example;

public class HelloServantImpl implements HelloServant {
  @Override
  public String hello(String name) {
    return name + " from " + System.getProperty("port");
  }

  @Override
  public String slow(String name) {
    try {
      Thread.sleep(5000);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return name;
  }
}
