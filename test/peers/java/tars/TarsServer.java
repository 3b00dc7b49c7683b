// A server of TarsJava with the servant App.Server.Obj: `TarsServer PORT ADMIN_PORT`.
package com.example;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;

final class TarsServer {
  public static void main(String[] args) throws Exception {
    Path folder = Paths.get("").toAbsolutePath();
    String configuration = String.join("\n",
      "<tars>", "<application>", "enableset=N", "setdivision=NULL", "<server>", "app=App", "server=Server", "localip=127.0.0.1",
      "basepath=" + folder, "datapath=" + folder, "logpath=" + folder, "loglevel=ERROR", "logsize=15M", "local=tcp -h 127.0.0.1 -p " + args[1] + " -t 3000",
      "<App.Server.ObjAdapter>", "allow", "endpoint=tcp -h 127.0.0.1 -p " + args[0] + " -t 60000", "handlegroup=App.Server.ObjAdapter",
      "maxconns=1000", "protocol=tars", "queuecap=5000", "queuetimeout=20000", "servant=App.Server.Obj", "threads=4", "</App.Server.ObjAdapter>",
      "</server>", "<client>", "modulename=App.Server", "sync-invoke-timeout=3000", "async-invoke-timeout=3000", "</client>", "</application>", "</tars>");
    Path file = folder.resolve("server.conf");
    Files.write(file, configuration.getBytes("UTF-8"));
    System.setProperty("port", args[0]);
    System.setProperty("config", file.toString());
    com.qq.tars.server.startup.Main.main(new String[0]);
    Commands.ready();
    Commands.serve((verb, words) -> "");
  }
}
